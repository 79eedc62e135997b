package process

import (
	"context"
	"errors"
	"os"
	"os/exec"

	"refit.dev/workload"
	"refit.dev/workload/process/session"
)

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

// deadline is done at the job's deadline or with life.
func (t *task) deadline(life context.Context) (context.Context, context.CancelFunc) {
	at := t.snapshot().Job.Deadline
	if at.IsZero() {
		return context.WithCancel(life)
	}
	return context.WithTimeout(life, at.Sub(t.m.cfg.Now()))
}
