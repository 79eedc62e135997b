package process

import (
	"context"
	"os"
	"os/exec"

	"refit.dev/workload"
	"refit.dev/workload/process/session"
)

// start waits for its turn and runs the job's process.
func (t *task) start(life, rest context.Context, r Record) (verdict, error) {
	outcome, err := t.queue(life)
	if outcome != "" || err != nil {
		return verdict{outcome: outcome}, err
	}
	if err := t.update(life, func(r *Record) { r.State, r.StartedAt = Starting, t.m.cfg.Now().UTC() }); err != nil {
		return verdict{}, err
	}
	kills := oomKills()
	cmd, id, err := t.spawn(r)
	if err != nil {
		return verdict{outcome: workload.Failed, status: err, unstarted: true}, nil //nolint:nilerr // the verdict carries it
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	// One try: a process must be watched whatever the disk says, and the next
	// manager finds it by its environment.
	t.must(t.set(func(r *Record) { r.State, r.Session = Running, id }))
	t.m.cfg.Logger.Info("started workload", "workload", r.Job.Name(), "pid", id.PID)
	v := t.watch(life, rest, id, exited)
	v.oom = oomKills() > kills
	return v, nil
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
	defer log.Close() //nolint:errcheck // the workload writes it, this process does not
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = t.m.cfg.WorkDir, log, log
	cmd.Env = append(t.m.cfg.Env(r.Job), nameVariable+"="+name, uidVariable+"="+r.UID)
	id, err := session.Start(cmd)
	return cmd, id, err
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
		v.status = <-exited
	case <-deadline.Done():
		v.outcome = workload.Deadline
		if life.Err() != nil {
			v.outcome = workload.Lost
		}
		t.must(t.end(v.outcome))
		t.sweep(rest, id)
		v.status = <-exited
	}
	return v
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
