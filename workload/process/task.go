package process

import (
	"context"
	"errors"
	"os"
	"os/exec"
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

// start waits for its turn and runs the job's process.
func (t *task) start(life, rest context.Context, r Record) (verdict, error) {
	if t.m.slots != nil {
		deadline, cancel := t.deadline(life)
		defer cancel()
		select {
		case t.m.slots <- struct{}{}:
			defer func() { <-t.m.slots }()
		case <-t.ending:
			return verdict{outcome: workload.Cancelled}, nil
		case <-deadline.Done():
			if err := life.Err(); err != nil {
				return verdict{}, err // still queued: the next manager starts it
			}
			return verdict{outcome: workload.Deadline}, nil
		}
	}
	if t.snapshot().Ending != "" {
		return verdict{outcome: workload.Cancelled}, nil
	}
	if err := t.update(life, func(r *Record) { r.State, r.StartedAt = Starting, t.m.cfg.Now().UTC() }); err != nil {
		return verdict{}, err
	}
	kills := oomKills()
	cmd, id, err := t.spawn(r)
	if err != nil {
		return verdict{outcome: workload.Failed, status: err, unstarted: true}, nil
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	if err := t.update(life, func(r *Record) { r.State, r.Session = Running, id }); err != nil {
		t.m.cfg.Logger.Warn("running workload is not on record", "workload", r.Job.Name(), "error", err)
	}
	t.m.cfg.Logger.Info("started workload", "workload", r.Job.Name(), "pid", id.PID)
	v, err := t.watch(life, rest, id, exited)
	v.oom = oomKills() > kills
	return v, err
}

// spawn starts the process with its log as standard output and error.
func (t *task) spawn(r Record) (*exec.Cmd, session.ID, error) {
	args, err := t.m.cfg.Command(r.Job)
	if err != nil {
		return nil, session.ID{}, err
	}
	name := r.Job.Name()
	log, err := os.OpenFile(t.m.folder.log(name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return nil, session.ID{}, err
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = t.m.cfg.WorkDir, log, log
	cmd.Env = append(t.m.cfg.Env(r.Job), nameVariable+"="+name, uidVariable+"="+r.UID)
	id, err := session.Start(cmd)
	return cmd, id, errors.Join(err, log.Close())
}

// watch waits for the end of the process or brings it about, and leaves no
// process of the session behind.
func (t *task) watch(life, rest context.Context, id session.ID, exited <-chan error) (verdict, error) {
	deadline, cancel := t.deadline(life)
	defer cancel()
	var v verdict
	select {
	case v.status = <-exited:
		t.sweep(rest, id)
	case <-t.ending:
		v.outcome = t.snapshot().Ending
		t.sweep(rest, id)
		v.status = <-exited
	case <-deadline.Done():
		v.outcome = workload.Deadline
		if life.Err() != nil {
			v.outcome = workload.Lost
		}
		if err := t.end(v.outcome); err != nil {
			t.m.cfg.Logger.Warn("reason of the end is not on record", "pid", id.PID, "error", err)
		}
		t.sweep(rest, id)
		v.status = <-exited
	}
	if v.outcome == "" && errors.Is(v.status, errUnseen) {
		return t.ask(life)
	}
	return v, nil
}

// sweep ends what lives of the session.
func (t *task) sweep(rest context.Context, id session.ID) {
	if err := id.End(rest, t.m.cfg.Grace); err != nil {
		t.m.cfg.Logger.Error("process is left over", "pid", id.PID, "error", err)
	}
}

// ask finds out how an adopted workload ended from what it wrote.
func (t *task) ask(life context.Context) (verdict, error) {
	v := verdict{outcome: workload.Lost, status: errUnseen}
	if t.m.cfg.Finished == nil {
		return v, nil
	}
	err := t.retry(life, "look for the result", func() error {
		outcome, err := t.m.cfg.Finished(life, t.snapshot().Job)
		if err == nil && outcome != "" {
			v.outcome = outcome
		}
		return err
	})
	return v, err
}

// announce reports the end until somebody took it or life is done.
func (t *task) announce(life context.Context) {
	r := t.snapshot()
	end, name := *r.End, r.Job.Name()
	err := t.retry(life, "announce the end", func() error {
		if end.Log == "" {
			uri, err := t.saveLog(life, r.Job)
			if err != nil {
				return err
			}
			end.Log = uri
		}
		return t.m.cfg.Ended(life, end)
	})
	if err == nil {
		err = t.update(life, func(r *Record) { r.End, r.Announced = &end, true })
	}
	if err != nil {
		t.m.cfg.Logger.Warn("end of workload is not announced", "workload", name, "error", err)
		return
	}
	t.m.cfg.Logger.Info("workload ended", "workload", name, "outcome", end.Outcome, "reason", end.Reason)
}

// deadline is done at the job's deadline or with life.
func (t *task) deadline(life context.Context) (context.Context, context.CancelFunc) {
	at := t.snapshot().Job.Deadline
	if at.IsZero() {
		return context.WithCancel(life)
	}
	return context.WithTimeout(life, at.Sub(t.m.cfg.Now()))
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
