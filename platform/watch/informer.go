package watch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"

	"refit.dev/workload/kube"
)

// pageSize is how many objects are held whole at a time while they are listed.
const pageSize = 50

// informer lists and watches the objects of one kind.
type informer struct {
	cache.SharedIndexInformer

	resource string
	objects  dynamic.ResourceInterface

	mu sync.Mutex
	// last is why the last list or watch failed.
	last error
}

func (w *Watcher) newInformer(resource schema.GroupVersionResource, kind schema.GroupVersionKind, handler cache.ResourceEventHandler) (*informer, error) {
	i := &informer{resource: resource.GroupResource().String(), objects: w.c.Client.Resource(resource).Namespace(w.c.Namespace)}
	sample := new(unstructured.Unstructured)
	sample.SetGroupVersionKind(kind)
	i.SharedIndexInformer = cache.NewSharedIndexInformerWithOptions(i.source(w.c), sample, cache.SharedIndexInformerOptions{
		ObjectDescription: i.resource,
	})
	_, err := i.AddEventHandler(handler)
	err = errors.Join(err, i.SetTransform(w.slim), i.SetWatchErrorHandlerWithContext(func(ctx context.Context, _ *cache.Reflector, err error) {
		i.failed(ctx, w.c, err)
	}))
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", i.resource, err)
	}
	return i, nil
}

// slim makes a record of an object.
func (w *Watcher) slim(object any) (any, error) {
	whole, ok := object.(*unstructured.Unstructured)
	switch {
	case !ok:
		return object, nil // a record already, or the mark of a deletion
	case whole.GroupVersionKind() == podsGVK:
		return newPodRecord(whole)
	}
	return newRecord(w.c.Kinds, whole, w.c.Clock()), nil
}

// source lists and watches on the API server.
func (i *informer) source(c Config) cache.ListerWatcher {
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector = kube.Selector
			return i.list(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = kube.Selector
			return i.objects.Watch(ctx, o)
		},
	}, c.Client)
}

// list reads all objects, page by page, and drops of each what no record needs.
// It is for servers that do not stream their lists.
func (i *informer) list(ctx context.Context, o metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	o.Limit, o.ResourceVersion, o.ResourceVersionMatch = pageSize, "", ""
	all := new(unstructured.UnstructuredList)
	for {
		page, err := i.objects.List(ctx, o)
		if err != nil {
			return nil, err
		}
		for _, object := range page.Items {
			drop(&object)
			all.Items = append(all.Items, object)
		}
		all.Object = page.Object
		if o.Continue = page.GetContinue(); o.Continue == "" {
			return all, nil
		}
	}
}

// drop takes the large parts away that no record needs. A pod keeps its spec for
// the limits of its containers.
func drop(object *unstructured.Unstructured) {
	object.SetManagedFields(nil)
	unstructured.RemoveNestedField(object.Object, "status", "rayClusterStatus")
	if object.GroupVersionKind() != podsGVK {
		delete(object.Object, "spec")
	}
}

// failed remembers why a list or a watch failed, which is tried again with
// growing pauses. A kind that the cluster does not have is told once.
func (i *informer) failed(ctx context.Context, c Config, err error) {
	if errors.Is(err, io.EOF) || apierrors.IsResourceExpired(err) || ctx.Err() != nil {
		return // the ends of a watch in good order
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	switch missing := apierrors.IsNotFound(err); {
	case missing && !apierrors.IsNotFound(i.last):
		c.Logger.WarnContext(ctx, "the cluster has no such kind: its workloads are watched once it is installed", "kind", i.resource)
	case !missing:
		c.Logger.WarnContext(ctx, "workloads cannot be watched, trying again", "kind", i.resource, "error", err)
	}
	i.last = err
}

// known tells whether all objects are in the store. A kind that the cluster does
// not have has none.
func (i *informer) known() bool { return i.HasSynced() || apierrors.IsNotFound(i.why()) }

// why is the last failure, nil if there was none.
func (i *informer) why() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.last
}
