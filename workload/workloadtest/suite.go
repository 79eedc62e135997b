// Package workloadtest is what every launcher must do, as tests, and a launcher
// in memory that does it.
package workloadtest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/workload"
)

// Behaviour is what the workload of a job does.
type Behaviour string

// The behaviours that a Harness makes.
const (
	Succeeds Behaviour = "succeeds" // ends by itself, well
	Fails    Behaviour = "fails"    // ends by itself, badly
	Hangs    Behaviour = "hangs"    // does not end by itself
)

// Harness is a launcher under test and a view of what it does.
type Harness struct {
	Launcher workload.Launcher
	// Prepare turns job into one that behaves so. It may change Run, Spec and
	// Image.
	Prepare func(job workload.Job, b Behaviour) workload.Job
	// Ends receives every end that is announced.
	Ends <-chan workload.End
	// Starts is how often the workload of that name was started.
	Starts func(name string) int
	// Vanish deletes the named workload behind the launcher's back, and Suspend
	// holds it as a queue does, once it is known to whoever announces ends. Only
	// RunObjects asks for them.
	Vanish, Suspend func(ctx context.Context, name string) error
	// Deadline is how far off a deadline must lie to be met by a workload that
	// hangs; Patience is how long a test waits for an end. 0 means 200
	// milliseconds and 30 seconds.
	Deadline, Patience time.Duration
}

// Run runs the suite of every launcher. Each test has a harness of its own.
func Run(t *testing.T, setup func(*testing.T) Harness) {
	each(t, setup, map[string]func(*bench){
		"a workload that succeeds":                      succeeds,
		"a workload that fails":                         fails,
		"launching a running name again":                relaunchRunning,
		"launching an ended name again":                 relaunchEnded,
		"launching one name from many sides":            launchAtOnce,
		"two attempts of one stage are two workloads":   attempts,
		"cancelling a running workload":                 cancelRunning,
		"cancelling an ended workload":                  cancelEnded,
		"cancelling from many sides":                    cancelAtOnce,
		"cancelling what was never launched":            cancelUnknown,
		"a workload that outlasts its deadline":         deadline,
		"a workload that ends long before its deadline": farDeadline,
	})
}

// RunObjects runs the suite of every launcher and what launchers of objects do
// besides, which others can delete and hold.
func RunObjects(t *testing.T, setup func(*testing.T) Harness) {
	Run(t, setup)
	each(t, setup, map[string]func(*bench){
		"a workload that somebody deletes": vanished,
		"a workload that a queue holds":    suspended,
	})
}

func each(t *testing.T, setup func(*testing.T) Harness, tests map[string]func(*bench)) {
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test(newBench(t, setup(t))) })
	}
}

// bench is one harness with what the tests need.
type bench struct {
	Harness
	t    *testing.T
	ctx  context.Context
	made int
}

func newBench(t *testing.T, h Harness) *bench {
	if h.Deadline == 0 {
		h.Deadline = 200 * time.Millisecond
	}
	if h.Patience == 0 {
		h.Patience = 30 * time.Second
	}
	ctx, cancel := context.WithTimeout(t.Context(), h.Patience)
	t.Cleanup(cancel)
	return &bench{Harness: h, t: t, ctx: ctx}
}

// job makes another job that behaves so.
func (b *bench) job(how Behaviour) workload.Job {
	b.made++
	return b.Prepare(workload.Job{
		Run: "r-20261123-060000-0a1b2c3d", Stage: events.Prepare, Attempt: b.made,
		Spec: "s3://refit/runs/spec.json", Deadline: time.Now().Add(time.Hour),
	}, how)
}

// launch launches job.
func (b *bench) launch(job workload.Job) {
	b.t.Helper()
	require.NoError(b.t, b.Launcher.Launch(b.ctx, job))
}

// end requires that the next end announced is that of job, and returns it.
func (b *bench) end(job workload.Job, outcome workload.Outcome) workload.End {
	b.t.Helper()
	var end workload.End
	select {
	case end = <-b.Ends:
		require.Equal(b.t, job.Name(), end.Workload)
		require.Equal(b.t, outcome, end.Outcome, "reason %s: %s", end.Reason, end.Message)
		require.Equal(b.t, job.Run, end.Run)
		require.Equal(b.t, job.Stage, end.Stage)
		require.Equal(b.t, job.Attempt, end.Attempt)
		require.NotEmpty(b.t, end.UID)
		require.Regexp(b.t, `^[A-Z][A-Za-z]+$`, end.Reason)
		require.False(b.t, end.StartedAt.IsZero())
		require.False(b.t, end.EndedAt.Before(end.StartedAt))
	case <-b.ctx.Done():
		require.FailNow(b.t, "no end was announced", "of %s", job.Name())
	}
	return end
}

// quiet requires that nothing more is announced: not before the end of a
// workload launched now.
func (b *bench) quiet() {
	b.t.Helper()
	last := b.job(Succeeds)
	b.launch(last)
	b.end(last, workload.Succeeded)
}

func succeeds(b *bench) {
	job := b.job(Succeeds)
	b.launch(job)
	b.end(job, workload.Succeeded)
	require.Equal(b.t, 1, b.Starts(job.Name()))
}

func fails(b *bench) {
	job := b.job(Fails)
	b.launch(job)
	b.end(job, workload.Failed)
}

func relaunchRunning(b *bench) {
	job := b.job(Hangs)
	b.launch(job)
	b.launch(job)
	b.quiet()
	require.NoError(b.t, b.Launcher.Cancel(b.ctx, job.Name()))
	b.end(job, workload.Cancelled)
	require.LessOrEqual(b.t, b.Starts(job.Name()), 1)
}

func relaunchEnded(b *bench) {
	job := b.job(Succeeds)
	b.launch(job)
	b.end(job, workload.Succeeded)
	b.launch(job)
	b.quiet()
	require.Equal(b.t, 1, b.Starts(job.Name()))
}

func launchAtOnce(b *bench) {
	job := b.job(Succeeds)
	at(16, func() error { return b.Launcher.Launch(b.ctx, job) }, b)
	b.end(job, workload.Succeeded)
	b.quiet()
	require.Equal(b.t, 1, b.Starts(job.Name()))
}

func attempts(b *bench) {
	first, second := b.job(Hangs), b.job(Succeeds)
	b.launch(first)
	b.launch(second)
	b.end(second, workload.Succeeded)
	require.NoError(b.t, b.Launcher.Cancel(b.ctx, first.Name()))
	b.end(first, workload.Cancelled)
}

func cancelRunning(b *bench) {
	job := b.job(Hangs)
	b.launch(job)
	require.NoError(b.t, b.Launcher.Cancel(b.ctx, job.Name()))
	b.end(job, workload.Cancelled)
}

func cancelEnded(b *bench) {
	job := b.job(Succeeds)
	b.launch(job)
	b.end(job, workload.Succeeded)
	require.NoError(b.t, b.Launcher.Cancel(b.ctx, job.Name()))
	b.quiet()
}

func cancelAtOnce(b *bench) {
	job := b.job(Hangs)
	b.launch(job)
	at(16, func() error { return b.Launcher.Cancel(b.ctx, job.Name()) }, b)
	b.end(job, workload.Cancelled)
	b.quiet()
}

func cancelUnknown(b *bench) {
	require.ErrorIs(b.t, b.Launcher.Cancel(b.ctx, b.job(Hangs).Name()), workload.ErrNotFound)
	require.ErrorIs(b.t, b.Launcher.Cancel(b.ctx, "../x"), workload.ErrNotFound)
}

func deadline(b *bench) {
	job := b.job(Hangs)
	job.Deadline = time.Now().Add(b.Deadline)
	b.launch(job)
	b.end(job, workload.Deadline)
}

func farDeadline(b *bench) {
	job := b.job(Succeeds)
	job.Deadline = time.Now().AddDate(1, 0, 0)
	b.launch(job)
	b.end(job, workload.Succeeded)
}

func vanished(b *bench) {
	job := b.job(Hangs)
	b.launch(job)
	require.NoError(b.t, b.Vanish(b.ctx, job.Name()))
	require.Equal(b.t, "Deleted", b.end(job, workload.Failed).Reason)
}

func suspended(b *bench) {
	job := b.job(Hangs)
	b.launch(job)
	require.NoError(b.t, b.Suspend(b.ctx, job.Name()))
	b.quiet()
	require.NoError(b.t, b.Launcher.Cancel(b.ctx, job.Name()))
	b.end(job, workload.Cancelled)
}

// at calls f n times at once; no call may fail.
func at(n int, f func() error, b *bench) {
	b.t.Helper()
	errs := make([]error, n)
	var calls sync.WaitGroup
	for i := range n {
		calls.Go(func() { errs[i] = f() })
	}
	calls.Wait()
	for _, err := range errs {
		require.NoError(b.t, err)
	}
}
