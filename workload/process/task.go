package process

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"refit.dev/workload"
	"refit.dev/workload/process/session"
)

// errUnseen stands for the exit status of an adopted process: only a parent
// learns it.
var errUnseen = errors.New("nobody saw the exit status")

// task is one job under a manager.
type task struct {
	m *Manager
	// ending is closed when somebody asked for the end.
	ending chan struct{}

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
	return t.retry(life, "save the record", func() error {
		t.mu.Lock()
		defer t.mu.Unlock()
		changed := t.record
		change(&changed)
		err := t.m.folder.save(changed)
		if err == nil {
			t.record = changed
		}
		return err
	})
}

// end asks for the end of the job. Only the first reason counts.
func (t *task) end(why workload.Outcome) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.record.Ending != "" || t.record.State == Ended {
		return nil
	}
	changed := t.record
	changed.Ending = why
	if err := t.m.folder.save(changed); err != nil {
		return err
	}
	t.record = changed
	close(t.ending)
	return nil
}

// run brings the job from whatever state it is in to its announced end.
func (t *task) run(life, rest context.Context) {
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
	switch r.State {
	case Queued:
		return t.start(life, rest, r)
	case Starting:
		id, err := session.Find(uidVariable + "=" + r.UID)
		if err != nil {
			return verdict{}, err
		}
		r.Session = id
		if err := t.update(life, func(r *Record) { r.State, r.Session = Running, id }); err != nil {
			return verdict{}, err
		}
	}
	if t.m.cfg.EndLeftovers && r.Session.Alive() {
		if err := t.end(workload.Lost); err != nil {
			return verdict{}, err
		}
	}
	t.m.cfg.Logger.Info("adopt workload", "workload", r.Job.Name(), "pid", r.Session.PID, "alive", r.Session.Alive())
	exited := make(chan error, 1)
	watch, cancel := context.WithCancel(context.WithoutCancel(rest))
	defer cancel()
	go func() {
		_ = r.Session.Wait(watch)
		exited <- errUnseen
	}()
	return t.watch(life, rest, r.Session, exited)
}

// retry calls try until it succeeds or life is done, at least once.
func (t *task) retry(life context.Context, what string, try func() error) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 100*time.Millisecond, 15*time.Second
	_, err := backoff.Retry(life, func() (struct{}, error) { return struct{}{}, try() },
		backoff.WithBackOff(pause), backoff.WithMaxElapsedTime(0),
		backoff.WithNotify(func(err error, wait time.Duration) {
			t.m.cfg.Logger.Warn("will try again", "to", what, "after", wait, "error", err)
		}))
	return err
}
