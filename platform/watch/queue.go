package watch

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"refit.dev/platform/source"
	"refit.dev/stage/store"
	"refit.dev/workload"
)

// patience bounds one look at an object, lest a server that never answers holds
// a worker for ever.
const patience = time.Minute

// unjudged is when to look again at an ended object that no function has judged.
const unjudged = time.Minute

// handler puts each object that changed into the queue, and keeps the deleted
// ones until they are looked at.
func (w *Watcher) handler(kind int) cache.ResourceEventHandler {
	add := func(object any) {
		if r, ok := object.(*record); ok && r.workload {
			w.queue.Add(key{kind, r.Name})
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc: add, UpdateFunc: func(_, object any) { add(object) },
		DeleteFunc: func(object any) {
			// A deletion that the watch missed is found by the next list.
			if missed, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = missed.Obj
			}
			if r, ok := object.(*record); ok && r.workload {
				w.mu.Lock()
				w.gone[key{kind, r.Name}] = r
				w.mu.Unlock()
				w.queue.Add(key{kind, r.Name})
			}
		},
	}
}

// next looks at one object; false means that the queue has ended.
func (w *Watcher) next(ctx context.Context) bool {
	k, ended := w.queue.Get()
	if ended {
		return false
	}
	defer w.queue.Done(k)
	looking, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	again, err := w.look(looking, k)
	switch {
	case err != nil && ctx.Err() != nil:
	case errors.Is(err, source.ErrStray):
		w.c.Logger.WarnContext(ctx, "an end cannot be told", "workload", k.name, "error", err)
		w.queue.Forget(k)
	case err != nil:
		w.c.Logger.WarnContext(ctx, "an end is not told yet, trying again", "workload", k.name, "error", err)
		w.queue.AddRateLimited(k)
	default:
		w.queue.Forget(k)
		if again > 0 {
			w.queue.AddAfter(k, again)
		}
	}
	return true
}

// look tells what there is to tell of an object and deletes it when its time is
// over. A duration above zero is when to look again.
func (w *Watcher) look(ctx context.Context, k key) (again time.Duration, err error) {
	if err := w.lookBack(ctx, k); err != nil {
		return 0, err
	}
	object, found, err := w.informers[k.kind].GetStore().GetByKey(w.c.Namespace + "/" + k.name)
	if err != nil || !found {
		return 0, err
	}
	r, ok := object.(*record)
	if !ok {
		return 0, nil
	}
	end, ended := r.ended()
	if !ended {
		again, err := w.checkStart(ctx, k)
		return sooner(again, w.hear(ctx, r)), err
	}
	if err := w.tell(ctx, r, end); err != nil {
		return 0, err
	}
	return w.expire(ctx, k, r, end)
}

// lookBack tells the end of an object that was deleted before anybody told it.
func (w *Watcher) lookBack(ctx context.Context, k key) error {
	w.mu.Lock()
	r := w.gone[k]
	w.mu.Unlock()
	if r == nil {
		return nil
	}
	if end, ok := r.vanished(w.c.Clock()); ok {
		if err := w.tell(ctx, r, end); err != nil && !errors.Is(err, source.ErrStray) {
			return err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gone[k] == r {
		delete(w.gone, k)
	}
	delete(w.told, r.UID)
	delete(w.troubles, r.Name)
	delete(w.heard, r.UID)
	return nil
}

// tell says an end, once.
func (w *Watcher) tell(ctx context.Context, r *record, end workload.End) error {
	if _, told := w.toldOf(r.UID); told {
		return nil
	}
	end = w.account(ctx, r, end)
	if err := w.c.Ended(ctx, end); err != nil {
		return err
	}
	w.c.Logger.InfoContext(ctx, "workload ended", "workload", end.Workload, "kind", r.kind, "outcome", string(end.Outcome), "reason", end.Reason,
		"told_after_ms", w.c.Clock().Sub(r.seen).Milliseconds())
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told[r.UID] = end
	delete(w.troubles, r.Name)
	delete(w.heard, r.UID)
	return nil
}

// expire deletes an ended object, and its pods with it, when its time is over
// and its stage has a verdict: until then the object is the only trace of the
// end.
func (w *Watcher) expire(ctx context.Context, k key, r *record, end workload.End) (again time.Duration, err error) {
	ttl := w.c.TTL
	if r.ttl != 0 {
		ttl = r.ttl
	}
	if left := end.EndedAt.Add(ttl).Sub(w.c.Clock()); left > 0 || !r.deleted.IsZero() {
		return max(left, 0), nil
	}
	_, err = w.c.State.Head(ctx, "runs/"+end.Run+"/"+string(end.Stage)+"/mark")
	if errors.Is(err, store.ErrNotFound) {
		return unjudged, nil
	}
	if err != nil {
		return 0, fmt.Errorf("look for the mark of %s: %w", r.Name, err)
	}
	return 0, w.remove(ctx, k, r.UID)
}

func (w *Watcher) remove(ctx context.Context, k key, uid types.UID) error {
	background := metav1.DeletePropagationBackground
	err := w.informers[k.kind].objects.Delete(ctx, k.name, metav1.DeleteOptions{
		PropagationPolicy: &background, Preconditions: &metav1.Preconditions{UID: &uid},
	})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete %s: %w", k.name, err)
	}
	w.c.Logger.InfoContext(ctx, "ended workload deleted, its time is over", "workload", k.name)
	return nil
}
