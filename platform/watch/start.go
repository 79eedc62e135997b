package watch

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"refit.dev/workload"
	"refit.dev/workload/kube"
)

// checkStart ends a running workload if one of its pods has been unable to start
// for too long. A duration above zero is when to look again. That no node takes
// a pod is no reason to give up: an autoscaler may be at work.
func (w *Watcher) checkStart(ctx context.Context, k key) (again time.Duration, err error) {
	now := w.c.Clock()
	for _, pod := range w.troubleOf(k.name).waiting {
		if !pod.blocked || !pod.left.IsZero() {
			continue
		}
		left := pod.since.Add(w.c.StuckAfter).Sub(now)
		if left <= 0 {
			return 0, w.giveUp(ctx, k, pod.finding, now)
		}
		if again == 0 || left < again {
			again = left
		}
	}
	return again, nil
}

// giveUp writes the end into the object, which the watch then sees.
func (w *Watcher) giveUp(ctx context.Context, k key, f finding, now time.Time) error {
	objects := w.informers[k.kind].objects
	object, err := objects.Get(ctx, k.name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", k.name, err)
	}
	w.c.Logger.InfoContext(ctx, "workload is given up, its pods cannot start", "workload", k.name, "reason", f.reason)
	_, err = kube.Finish(ctx, objects, w.c.Kinds[k.kind], object, kube.Verdict{
		Outcome: workload.Failed, Reason: f.reason, Message: f.message, EndedAt: now,
	})
	if errors.Is(err, workload.ErrNotFound) {
		return nil
	}
	return err
}
