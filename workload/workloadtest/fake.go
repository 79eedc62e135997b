package workloadtest

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"refit.dev/workload"
)

// Fake is a launcher in memory, for tests of what launches: it writes down what
// it was asked to launch, and a test says how and when each job ends. It is
// safe for concurrent use. The zero Fake is ready.
type Fake struct {
	// Ended, if set, is told each end once. It must be set before the first use.
	Ended func(context.Context, workload.End) error
	// Now is the clock for the times of an end; nil means time.Now.
	Now func() time.Time

	mu      sync.Mutex
	jobs    []workload.Job
	ends    map[string]*workload.End // nil while the job runs
	started map[string]time.Time
	refusal error
}

var _ workload.Launcher = (*Fake)(nil)

// NewFake returns a Fake that tells nobody of the ends.
func NewFake() *Fake { return &Fake{} }

// Launch writes job down unless its name was launched before.
func (f *Fake) Launch(_ context.Context, job workload.Job) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.started[job.Name()]; ok {
		return nil
	}
	if f.refusal != nil {
		return f.refusal
	}
	if f.started == nil {
		f.started, f.ends = map[string]time.Time{}, map[string]*workload.End{}
	}
	f.jobs = append(f.jobs, job)
	f.started[job.Name()] = f.now()
	return nil
}

// Cancel ends the named job with outcome Cancelled, at once.
func (f *Fake) Cancel(ctx context.Context, name string) error {
	return f.End(ctx, name, workload.Cancelled)
}

// Refuse makes every launch of a new name return err; nil ends that.
func (f *Fake) Refuse(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refusal = err
}

// Launched lists the jobs in the order of their first launch.
func (f *Fake) Launched() []workload.Job {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]workload.Job(nil), f.jobs...)
}

// Outcome is how the named job ended, empty while it runs.
func (f *Fake) Outcome(name string) workload.Outcome {
	f.mu.Lock()
	defer f.mu.Unlock()
	if end := f.ends[name]; end != nil {
		return end.Outcome
	}
	return ""
}

// End ends the named job and tells Ended before it returns. A job that ended
// before is left alone; workload.ErrNotFound means that there is none.
func (f *Fake) End(ctx context.Context, name string, outcome workload.Outcome) error {
	end, err := f.finish(name, outcome)
	if err != nil || end == nil || f.Ended == nil {
		return err
	}
	if err := f.Ended(ctx, *end); err != nil {
		return fmt.Errorf("announce the end of %s: %w", name, err)
	}
	return nil
}

// Expire ends every running job whose deadline is not after now.
func (f *Fake) Expire(ctx context.Context, now time.Time) error {
	for _, job := range f.Launched() {
		if job.Deadline.IsZero() || job.Deadline.After(now) {
			continue
		}
		if err := f.End(ctx, job.Name(), workload.Deadline); err != nil {
			return err
		}
	}
	return nil
}

// finish writes the end down, and returns nil if there was one.
func (f *Fake) finish(name string, outcome workload.Outcome) (*workload.End, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	began, ok := f.started[name]
	if !ok {
		return nil, fmt.Errorf("workload %q: %w", name, workload.ErrNotFound)
	}
	if f.ends[name] != nil {
		return nil, nil //nolint:nilnil // no new end and nothing wrong, as said above
	}
	for i, job := range f.jobs {
		if job.Name() == name {
			f.ends[name] = &workload.End{
				Run: job.Run, Stage: job.Stage, Attempt: job.Attempt, Workload: name, UID: "fake-" + strconv.Itoa(i+1),
				Outcome: outcome, Reason: reasons[outcome], StartedAt: began, EndedAt: f.now(),
			}
		}
	}
	return f.ends[name], nil
}

// reasons are the words that the process launcher uses.
var reasons = map[workload.Outcome]string{
	workload.Succeeded: "Completed", workload.Failed: "ExitStatus", workload.Lost: "PlatformStopped",
	workload.Deadline: "DeadlineExceeded", workload.Cancelled: "Cancelled",
}

func (f *Fake) now() time.Time {
	if f.Now != nil {
		return f.Now()
	}
	return time.Now()
}
