package process

import (
	"context"
	"sync"

	"refit.dev/workload"
)

// task is one job under a manager.
type task struct {
	m *Manager
	// ending is closed when somebody asked for the end.
	ending chan struct{}
	// holds says that the task has one of the manager's slots.
	holds bool

	mu     sync.Mutex
	record Record
}

func newTask(m *Manager, r Record) *task {
	t := &task{m: m, record: r, ending: make(chan struct{})}
	if r.Ending != "" {
		close(t.ending)
	}
	return t
}

// snapshot returns the record as it is now.
func (t *task) snapshot() Record {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.record
}

// update changes the record, on disk first. While the disk refuses, it tries
// again until life is done; one try is made in any case.
func (t *task) update(life context.Context, change func(*Record)) error {
	return t.m.retry(life, "save the record", func() error { return t.set(change) })
}

// set changes the record, on disk first.
func (t *task) set(change func(*Record)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	changed := t.record
	change(&changed)
	if err := t.m.folder.save(changed); err != nil {
		return err
	}
	t.record = changed
	return nil
}

// must reports an error that must not stop what is going on.
func (t *task) must(err error) {
	if err != nil {
		t.m.cfg.Logger.Warn("record is behind", "workload", t.snapshot().Job.Name(), "error", err)
	}
}

// end asks for the end of the job. Only the first reason counts.
func (t *task) end(why workload.Outcome) error {
	first := false
	err := t.set(func(r *Record) {
		if first = r.Ending == "" && r.State != Ended; first {
			r.Ending = why
		}
	})
	if first && err == nil {
		close(t.ending)
	}
	return err
}

// run brings the job from whatever state it is in to its announced end.
func (t *task) run(life, rest context.Context) {
	defer t.m.release(t)
	r := t.snapshot()
	if r.State != Ended {
		v, err := t.finish(life, rest, r)
		if err == nil {
			err = t.update(life, func(r *Record) { r.State, r.End = Ended, t.report(*r, v) })
		}
		if err != nil {
			// The manager closes; the next one finds the record as it is.
			t.m.cfg.Logger.Warn("end of workload is not on record", "workload", r.Job.Name(), "error", err)
			return
		}
	}
	if !r.Announced && life.Err() == nil {
		t.announce(life)
	}
}

// finish runs the job to its end and says how it ended. An error says that the
// manager closed before that was known.
func (t *task) finish(life, rest context.Context, r Record) (verdict, error) {
	if r.State == Queued {
		return t.start(life, rest, r)
	}
	return t.adopt(life, rest, r)
}
