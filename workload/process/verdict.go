package process

import (
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"strings"
	"syscall"

	"refit.dev/workload"
)

// The environment variables by which a job's process is known.
const (
	nameVariable = "REFIT_WORKLOAD"
	uidVariable  = "REFIT_WORKLOAD_UID"
)

// verdict is what is known when a process is gone.
type verdict struct {
	// outcome is set if the manager ended the process, or asked for the result.
	outcome workload.Outcome
	// status is what waiting for the process returned.
	status error
	// unstarted says that status is why there was no process.
	unstarted bool
	// oom says that the kernel ran out of memory while the process ran.
	oom bool
}

// report words the end of the job.
func (t *task) report(r Record, v verdict) *workload.End {
	end := &workload.End{
		Run: r.Job.Run, Stage: r.Job.Stage, Attempt: r.Job.Attempt,
		Workload: r.Job.Name(), UID: r.UID,
		StartedAt: r.StartedAt, EndedAt: t.m.cfg.Now().UTC(),
	}
	if end.StartedAt.IsZero() {
		end.StartedAt = end.EndedAt
	}
	lines := tail(t.m.folder.log(r.Job.Name()))
	end.Outcome, end.Reason, end.Message = v.word(lines)
	if why := t.m.broken(r.Job, end); why != "" {
		end.Outcome, end.Reason, end.Message = workload.Lost, "PlatformBroken", why+": "+end.Message
	}
	if end.Outcome != workload.Succeeded && lines != "" {
		end.Message += "; the log ends with:\n" + lines
	}
	return end
}

// broken says what a failed workload lacked through no fault of its own.
func (m *Manager) broken(job workload.Job, end *workload.End) string {
	if end.Outcome != workload.Failed || m.cfg.Broken == nil {
		return ""
	}
	return m.cfg.Broken(job, end.StartedAt)
}

// word says in an outcome, a reason and a sentence what happened. The log's
// last lines tell an allocation that failed from other exits.
func (v verdict) word(lines string) (workload.Outcome, string, string) {
	switch {
	case v.outcome == workload.Cancelled:
		return v.outcome, "Cancelled", "it was cancelled"
	case v.outcome == workload.Deadline:
		return v.outcome, "DeadlineExceeded", "it was ended at its deadline"
	case v.unstarted:
		return workload.Failed, "StartFailed", fmt.Sprintf("it could not be started: %v", v.status)
	case v.outcome == workload.Succeeded, v.status == nil:
		return workload.Succeeded, "Completed", ""
	case v.outcome == workload.Lost:
		return v.outcome, "PlatformStopped", "the platform stopped while it ran"
	}
	return v.failure(lines)
}

// failure words the end of a process that failed by itself.
func (v verdict) failure(lines string) (workload.Outcome, string, string) {
	var exit exitError
	if !errors.As(v.status, &exit) {
		return workload.Failed, "ExitStatus", "its result says that it failed"
	}
	memory := strings.Contains(lines, "MemoryError") || strings.Contains(lines, "std::bad_alloc")
	switch status := syscall.WaitStatus(exit); {
	case status.Signal() == syscall.SIGKILL && v.oom:
		return workload.Failed, "OutOfMemory", "the kernel ran out of memory and killed it"
	case memory:
		return workload.Failed, "OutOfMemory", fmt.Sprintf("it got no more memory: %v", exit)
	case status.Signaled():
		return workload.Failed, "Signal", fmt.Sprintf("it was killed by signal %d (%s)", status.Signal(), status.Signal())
	default:
		return workload.Failed, "ExitStatus", fmt.Sprintf("it ended with status %d", status.ExitStatus())
	}
}

// exitError is the exit status of a process that failed.
type exitError syscall.WaitStatus

func (e exitError) Error() string {
	if status := syscall.WaitStatus(e); status.Signaled() {
		return fmt.Sprintf("signal: %s", status.Signal())
	}
	return fmt.Sprintf("exit status %d", syscall.WaitStatus(e).ExitStatus())
}

// exitOf is the error of a status, nil for success.
func exitOf(status syscall.WaitStatus) error {
	if status == 0 {
		return nil
	}
	return exitError(status)
}

// wait waits for the end of a process that cmd started.
func wait(cmd *exec.Cmd) error {
	err := cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok {
			return exitOf(status)
		}
	}
	return err
}

// fileURI is the URI of a local file.
func fileURI(path string) string {
	return (&url.URL{Scheme: "file", Path: path}).String()
}
