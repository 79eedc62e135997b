package watch_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"

	"refit.dev/events"
	"refit.dev/platform/watch"
	"refit.dev/stage/store"
	"refit.dev/workload"
	"refit.dev/workload/kube"
	"refit.dev/workload/rayjob"
	"refit.dev/workload/trainjob"
)

const (
	namespace = "ml"
	run       = "r-20261123-060000-0a1b2c3d"
	patience  = 20 * time.Second
)

var (
	rayJobs   = rayjob.Kind{}.Resource()
	trainJobs = trainjob.Kind{}.Resource()
	podsOf    = corev1.SchemeGroupVersion.WithResource("pods")
	eventsOf  = corev1.SchemeGroupVersion.WithResource("events")
	began     = time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)
)

// bundle is a watcher before a cluster of objects in memory.
type bundle struct {
	client *fake.FakeDynamicClient
	state  *store.Memory
	config watch.Config
	logs   map[string]string // by pod and container
	ended  chan workload.End
	// refuse is how often the broker still refuses an end.
	mu     sync.Mutex
	refuse int
	ahead  time.Duration
	// watching gets the resource of each watch that is set up.
	watching chan string
}

func setup(t *testing.T, objects ...runtime.Object) *bundle {
	t.Helper()
	b := &bundle{state: &store.Memory{}, ended: make(chan workload.End, 100), logs: map[string]string{}, watching: make(chan string, 100)}
	b.client = fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
		rayJobs: "RayJobList", trainJobs: "TrainJobList", podsOf: "PodList", eventsOf: "EventList",
	}, objects...)
	// The cluster in memory keeps no versions: what changes between a list and its
	// watch would never be seen, so that the first watches begin before the lists.
	var first sync.Map
	for _, r := range []schema.GroupVersionResource{rayJobs, trainJobs, podsOf} {
		w, err := b.client.Tracker().Watch(r, namespace)
		require.NoError(t, err)
		first.Store(r, w)
	}
	b.client.PrependWatchReactor("*", func(action clienttesting.Action) (bool, apiwatch.Interface, error) {
		r := action.GetResource()
		defer func() { b.watching <- r.Resource }()
		if w, ok := first.LoadAndDelete(r); ok {
			return true, w.(apiwatch.Interface), nil
		}
		w, err := b.client.Tracker().Watch(r, action.GetNamespace())
		return true, w, err
	})
	b.config = watch.Config{
		Client: b.client, Namespace: namespace, Kinds: []kube.Kind{rayjob.Kind{}, trainjob.Kind{}}, State: b.state, StateName: "refit",
		Ended: b.end, Logs: b.log, Clock: b.now, Logger: slog.New(slog.DiscardHandler),
	}
	return b
}

func (b *bundle) now() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return began.Add(b.ahead)
}

func (b *bundle) wait(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ahead += d
}

var errDown = errors.New("broker is down")

func (b *bundle) end(_ context.Context, e workload.End) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse > 0 {
		b.refuse--
		return errDown
	}
	b.ended <- e
	return nil
}

func (b *bundle) log(_ context.Context, pod, container string, previous bool) (io.ReadCloser, error) {
	text, found := b.logs[pod+"/"+container]
	if !found || previous {
		return nil, errors.New("no such container")
	}
	return io.NopCloser(strings.NewReader(text)), nil
}

// start runs a watcher until the test ends or stop is called, and waits until it
// watches.
func (b *bundle) start(t *testing.T) (w *watch.Watcher, stop func()) {
	t.Helper()
	w, err := watch.New(b.config)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	t.Cleanup(stop)
	for range 3 {
		receive(t, b.watching)
	}
	return w, stop
}

// receive is what comes next on a channel.
func receive[T any](t *testing.T, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(patience):
		require.Fail(t, "nothing came")
	}
	return v
}

// labels are those of an object and its pods.
func labels(stage events.Stage) map[string]string {
	return map[string]string{
		kube.LabelManagedBy: kube.ManagedBy, kube.LabelRun: run, kube.LabelStage: string(stage), kube.LabelAttempt: "1",
		kube.LabelWorkload: name(stage),
	}
}

func name(stage events.Stage) string { return run + "-" + string(stage) + "-1" }

// trainJob is the TrainJob of a stage; conditions say how it ended.
func trainJob(stage events.Stage, conditions ...map[string]any) *unstructured.Unstructured {
	list := make([]any, len(conditions))
	for i, c := range conditions {
		list[i] = c
	}
	return object("trainer.kubeflow.org/v1alpha1", "TrainJob", stage, map[string]any{"conditions": list})
}

// rayJob is the RayJob of a stage.
func rayJob(stage events.Stage, status map[string]any) *unstructured.Unstructured {
	return object("ray.io/v1", "RayJob", stage, status)
}

func object(version, kind string, stage events.Stage, status map[string]any) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{}, "status": status}}
	o.SetAPIVersion(version)
	o.SetKind(kind)
	o.SetNamespace(namespace)
	o.SetName(name(stage))
	o.SetUID(types.UID("uid-" + stage))
	o.SetLabels(labels(stage))
	o.SetCreationTimestamp(metav1.NewTime(began))
	return o
}

func complete() map[string]any {
	return map[string]any{"type": "Complete", "status": "True", "lastTransitionTime": "2026-11-23T06:01:00Z"}
}

func failed(reason string) map[string]any {
	return map[string]any{"type": "Failed", "status": "True", "reason": reason, "message": "jobset failed", "lastTransitionTime": "2026-11-23T06:01:00Z"}
}

// pod is a pod of prepare's workload with the statuses of its containers.
func pod(t *testing.T, statuses ...corev1.ContainerStatus) *unstructured.Unstructured {
	t.Helper()
	p := corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: namespace, UID: "pod-uid", Labels: labels(events.Prepare), CreationTimestamp: metav1.NewTime(began)},
		Status:     corev1.PodStatus{ContainerStatuses: statuses},
	}
	return plain(t, &p)
}

func plain(t *testing.T, o any) *unstructured.Unstructured {
	t.Helper()
	m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	require.NoError(t, err)
	return &unstructured.Unstructured{Object: m}
}

func terminated(container string, code int32, reason string) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: container, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason}}}
}

func waits(container, reason, message string) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: container, Image: "reg/x:1", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}
}
