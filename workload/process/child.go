package process

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"time"

	"refit.dev/workload"
	"refit.dev/workload/process/session"
)

// start waits for its turn and runs the job's process.
func (t *task) start(life, rest context.Context, r Record) (verdict, error) {
	outcome, err := t.queue(life)
	if outcome != "" || err != nil {
		return verdict{outcome: outcome}, err
	}
	kills := oomKills()
	id, exited, err := t.process(life, r)
	if err != nil {
		if life.Err() != nil {
			return verdict{}, life.Err()
		}
		return verdict{outcome: workload.Failed, status: err, unstarted: true}, nil
	}
	t.m.cfg.Logger.Info("started workload", "workload", r.Job.Name(), "pid", id.PID)
	v := t.watch(life, rest, id, exited)
	v.oom = oomKills() > kills
	if errors.Is(v.status, errUnseen) {
		return t.ask(life, v)
	}
	return v, nil
}

// process is the job's process, forked from the warm program or else started,
// and where its exit status comes. The process is on record.
func (t *task) process(life context.Context, r Record) (session.ID, <-chan error, error) {
	args, err := t.m.cfg.Command(r.Job)
	if err != nil {
		return session.ID{}, nil, err
	}
	log, err := os.OpenFile(t.m.folder.log(r.Job.Name()), os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return session.ID{}, nil, err
	}
	defer log.Close() //nolint:errcheck // the workload writes it, this process does not
	if t.m.nursery.has(args) {
		id, exited, err := t.fork(life, r, args)
		if !errors.Is(err, errCold) {
			return id, exited, err
		}
		t.m.cfg.Logger.Info("workload starts cold", "workload", r.Job.Name(), "why", err)
	}
	return t.spawn(life, r, args, log)
}

// fork asks the warm program for the process. Nothing of the job runs before
// its process is on record: whoever dies on the way leaves the job queued, or a
// process that the next manager knows.
func (t *task) fork(life context.Context, r Record, args []string) (session.ID, <-chan error, error) {
	b, err := t.m.nursery.fork(request{
		Module: args[2], Arguments: args[3:], Environment: variables(t.env(r)), Folder: t.m.cfg.WorkDir, Log: t.m.folder.log(r.Job.Name()),
	})
	if err != nil {
		return session.ID{}, nil, err
	}
	err = t.update(life, func(r *Record) { r.State, r.Session, r.StartedAt = Running, b.id, t.m.cfg.Now().UTC() })
	if err != nil {
		return session.ID{}, nil, errors.Join(err, b.conn.Close())
	}
	return b.id, b.release(), nil
}

// spawn starts the process with its log as standard output and error.
func (t *task) spawn(life context.Context, r Record, args []string, log *os.File) (session.ID, <-chan error, error) {
	if err := t.update(life, func(r *Record) { r.State, r.StartedAt = Starting, t.m.cfg.Now().UTC() }); err != nil {
		return session.ID{}, nil, err
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.Env = t.m.cfg.WorkDir, log, log, t.env(r)
	id, err := session.Start(cmd)
	if err != nil {
		return session.ID{}, nil, err
	}
	exited := make(chan error, 1)
	go func() { exited <- wait(cmd) }()
	// One try: a process must be watched whatever the disk says, and the next
	// manager finds it by its environment.
	t.must(t.set(func(r *Record) { r.State, r.Session = Running, id }))
	return id, exited, nil
}

// env is the whole environment of the job's process.
func (t *task) env(r Record) []string {
	return append(t.m.cfg.Env(r.Job), nameVariable+"="+r.Job.Name(), uidVariable+"="+r.UID)
}

// queue waits until the job may run. It returns the outcome of a job that ended
// waiting, and an error if the manager closes: the next one starts the job.
func (t *task) queue(life context.Context) (workload.Outcome, error) {
	deadline, cancel := t.deadline(life)
	defer cancel()
	select {
	case <-t.ending:
		return workload.Cancelled, nil
	default:
	}
	select {
	case t.m.slots <- struct{}{}:
		t.holds = true
		return "", nil
	case <-t.ending:
		return workload.Cancelled, nil
	case <-deadline.Done():
		if life.Err() != nil {
			return "", life.Err()
		}
		return workload.Deadline, nil
	}
}

// watch waits for the end of the process or brings it about, and leaves no
// process of the session behind.
func (t *task) watch(life, rest context.Context, id session.ID, exited <-chan error) verdict {
	deadline, cancel := t.deadline(life)
	defer cancel()
	var v verdict
	select {
	case v.status = <-exited:
		t.sweep(rest, id)
	case <-t.ending:
		v.outcome = t.snapshot().Ending
		t.sweep(rest, id)
		v.status = last(exited)
	case <-deadline.Done():
		v.outcome = workload.Deadline
		if life.Err() != nil {
			v.outcome = workload.Lost
		}
		t.must(t.end(v.outcome))
		t.sweep(rest, id)
		v.status = last(exited)
	}
	return v
}

// last is the exit status of a process that was killed, which comes at once
// unless whoever has it hangs.
func last(exited <-chan error) error {
	select {
	case status := <-exited:
		return status
	case <-time.After(5 * time.Second):
		return errUnseen
	}
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
