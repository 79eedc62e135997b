package watch

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// early is how long before its deadline a workload's log is read. Operators
// delete its pods at the deadline, and the log with them.
const early = 2 * time.Second

// hear keeps the log of a workload that is about to run into its deadline. The
// time is when to look again, 0 if that is not needed.
func (w *Watcher) hear(ctx context.Context, r *record) (again time.Duration) {
	if r.deadline.IsZero() || w.lastHeard(r.UID) != nil {
		return 0
	}
	if left := r.deadline.Add(-early).Sub(w.c.Clock()); left > 0 {
		return left
	}
	pods, err := w.pods(ctx, r.Name)
	if err != nil {
		w.c.Logger.WarnContext(ctx, "the log before the deadline cannot be read", "workload", r.Name, "error", err)
		return 0
	}
	text, err := w.readLog(ctx, pods)
	if err != nil {
		return 0 // it has none; the end will tell why
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heard[r.UID] = text
	return 0
}

// lastHeard is the log that was read just before the deadline, nil without one.
func (w *Watcher) lastHeard(uid types.UID) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.heard[uid]
}

// sooner is the shorter of two times to wait, where 0 is no wait at all.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
