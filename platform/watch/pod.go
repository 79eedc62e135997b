package watch

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"refit.dev/workload/kube"
)

// podsGVK is what a Pod is.
var podsGVK = corev1.SchemeGroupVersion.WithKind("Pod")

// podRecord is what is kept of a pod while its workload runs.
type podRecord struct {
	metav1.ObjectMeta

	workload                          string
	blocked, waits, killed, disrupted finding
}

// newPodRecord keeps what is wrong with a pod.
func newPodRecord(object *unstructured.Unstructured) (*podRecord, error) {
	var pod corev1.Pod
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &pod); err != nil {
		return nil, fmt.Errorf("read pod %s: %w", object.GetName(), err)
	}
	return &podRecord{
		ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace, UID: pod.UID, ResourceVersion: pod.ResourceVersion},
		workload:   pod.Labels[kube.LabelWorkload],
		blocked:    blocked(&pod), waits: unschedulable(&pod), killed: killed(&pod), disrupted: disrupted(&pod),
	}, nil
}

// trouble is what went wrong with the pods of one workload so far. Pods that
// were replaced are gone when their workload ends, so it is written down.
type trouble struct {
	killed, disrupted finding
	// waiting are the pods that cannot start.
	waiting map[types.UID]waiting
}

// waiting is a pod that cannot start.
type waiting struct {
	finding

	// since is when it was first seen, blocked whether time does not mend it.
	since   time.Time
	blocked bool
	// left is when the pod was deleted, zero while it is there.
	left time.Time
}

// fresh is for how long a deleted pod that could not start explains the end of
// its workload: pods go a little before their object has its verdict.
const fresh = time.Minute

// waits is why a pod cannot start.
func (t trouble) waits() finding {
	var found finding
	for _, w := range t.waiting {
		if !found.found() || w.blocked {
			found = w.finding
		}
	}
	return found
}

// podHandler writes down what goes wrong with pods, and has a workload looked
// at whose pod may have to be given up.
func (w *Watcher) podHandler() cache.ResourceEventHandler {
	see := func(object any) {
		if p, ok := object.(*podRecord); ok && w.note(p) {
			for kind := range w.c.Kinds {
				w.queue.Add(key{kind, p.workload})
			}
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc: see, UpdateFunc: func(_, object any) { see(object) },
		DeleteFunc: func(object any) {
			if missed, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = missed.Obj
			}
			if p, ok := object.(*podRecord); ok {
				w.note(p)
				w.leave(p)
			}
		},
	}
}

// note writes down what is wrong with a pod. True means that it newly waits for
// what time does not mend.
func (w *Watcher) note(p *podRecord) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	waits := p.blocked.or(p.waits)
	t, known := w.troubles[p.workload]
	if !known && !waits.found() && !p.killed.found() && !p.disrupted.found() {
		return false
	}
	t.killed, t.disrupted = p.killed.or(t.killed), p.disrupted.or(t.disrupted)
	before := t.waiting[p.UID]
	if t.waiting == nil {
		t.waiting = map[types.UID]waiting{}
	}
	delete(t.waiting, p.UID)
	newly := p.blocked.found() && !before.blocked
	if waits.found() {
		since := before.since
		if since.IsZero() || newly {
			since = w.c.Clock()
		}
		t.waiting[p.UID] = waiting{finding: waits, since: since, blocked: p.blocked.found()}
	}
	w.troubles[p.workload] = t
	return newly
}

func (w *Watcher) leave(p *podRecord) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if pod, ok := w.troubles[p.workload].waiting[p.UID]; ok {
		pod.left = w.c.Clock()
		w.troubles[p.workload].waiting[p.UID] = pod
	}
}

// troubleOf is a copy of what went wrong with a workload, without what is long
// gone.
func (w *Watcher) troubleOf(name string) trouble {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.troubles[name]
	current := map[types.UID]waiting{}
	for uid, pod := range t.waiting {
		if pod.left.IsZero() || w.c.Clock().Sub(pod.left) < fresh {
			current[uid] = pod
		}
	}
	t.waiting = current
	return t
}

// pods are the pods of a workload as they are now.
func (w *Watcher) pods(ctx context.Context, name string) ([]corev1.Pod, error) {
	list, err := w.c.Client.Resource(corev1.SchemeGroupVersion.WithResource("pods")).Namespace(w.c.Namespace).
		List(ctx, metav1.ListOptions{LabelSelector: kube.LabelWorkload + "=" + name})
	if err != nil {
		return nil, fmt.Errorf("list the pods of %s: %w", name, err)
	}
	pods := make([]corev1.Pod, len(list.Items))
	for i, object := range list.Items {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &pods[i]); err != nil {
			return nil, fmt.Errorf("read pod %s: %w", object.GetName(), err)
		}
	}
	return pods, nil
}
