package process

import (
	"context"
	"errors"

	"refit.dev/workload"
	"refit.dev/workload/process/session"
)

// errUnseen stands for the exit status of an adopted process: only a parent
// learns it.
var errUnseen = errors.New("nobody saw the exit status")

// adopt goes on with the process that an earlier manager started, if it lives,
// and finds out how it ended.
func (t *task) adopt(life, rest context.Context, r Record) (verdict, error) {
	if r.State == Starting {
		if err := t.find(life, &r); err != nil {
			return verdict{}, err
		}
	}
	alive := r.Session.Alive()
	t.m.cfg.Logger.Info("adopt workload", "workload", r.Job.Name(), "pid", r.Session.PID, "alive", alive)
	if alive && t.m.cfg.EndLeftovers {
		t.must(t.end(workload.Lost))
		alive = false
	}
	if !alive {
		t.sweep(rest, r.Session)
		return t.ask(life, verdict{outcome: t.snapshot().Ending, status: errUnseen})
	}
	exited := make(chan error, 1)
	watch, cancel := context.WithCancel(context.WithoutCancel(rest))
	defer cancel()
	go func() {
		_ = r.Session.Wait(watch)
		exited <- errUnseen
	}()
	return t.ask(life, t.watch(life, rest, r.Session, exited))
}

// find looks for the process of a manager that died before it could put the
// process on record. There may be none.
func (t *task) find(life context.Context, r *Record) error {
	err := t.m.retry(life, "look for the process", func() (err error) {
		r.Session, err = session.Find(uidVariable + "=" + r.UID)
		return err
	})
	if err != nil {
		return err
	}
	return t.update(life, func(on *Record) { on.State, on.Session = Running, r.Session })
}

// ask completes the verdict on an adopted workload by what it wrote, unless it
// was ended for a reason of its own.
func (t *task) ask(life context.Context, v verdict) (verdict, error) {
	if v.outcome != "" && v.outcome != workload.Lost {
		return v, nil
	}
	v.outcome = workload.Lost
	if t.m.cfg.Finished == nil {
		return v, nil
	}
	err := t.m.retry(life, "look for the result", func() error {
		outcome, err := t.m.cfg.Finished(life, t.snapshot().Job)
		if err == nil && outcome != "" {
			v.outcome = outcome
		}
		return err
	})
	return v, err
}
