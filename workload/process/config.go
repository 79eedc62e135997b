package process

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"refit.dev/events"
	"refit.dev/workload"
)

// Config says how a Manager runs workloads. Dir, Command and Ended are needed.
type Config struct {
	// Dir holds the records and logs. It is made if it is missing, readable by
	// its owner alone. One manager at a time may use it.
	Dir string
	// Command returns the program, as an absolute path, and its arguments.
	// Nothing of it passes a shell. See Python.
	Command func(workload.Job) ([]string, error)
	// Env returns the whole environment of a job, as NAME=value: nothing is
	// inherited. The manager adds REFIT_WORKLOAD and REFIT_WORKLOAD_UID.
	Env func(workload.Job) []string
	// Warm, if set, gives processes to the jobs whose Command it can do.
	Warm *Warm
	// WorkDir is where workloads run; empty means Dir.
	WorkDir string
	// Ended is told each end, from several goroutines, again and again until it
	// returns nil: twice for one end if the manager dies in between.
	Ended func(context.Context, workload.End) error
	// SaveLog, if set, keeps the job's log file for good before Ended is told,
	// and returns the URI for End.Log. Without it that is the file's URI.
	SaveLog func(ctx context.Context, job workload.Job, path string) (uri string, err error)
	// Finished, if set, says what an adopted workload, whose exit status nobody
	// saw, wrote as its result: Succeeded, Failed, or nothing. It is called until
	// it returns no error.
	Finished func(context.Context, workload.Job) (workload.Outcome, error)
	// Broken, if set, says what a job needs and has died since a time, empty for
	// nothing. A workload that fails after that is Lost, not Failed. The end is
	// told when Broken returns.
	Broken func(job workload.Job, since time.Time) string
	// EndLeftovers ends the living processes of an earlier manager, with outcome
	// Lost, instead of adopting them.
	EndLeftovers bool
	// MaxParallel is how many jobs run at once, the others wait; 0 is no limit.
	MaxParallel int
	// Grace is what a process that is asked to end has before it is killed;
	// 0 means 10 seconds.
	Grace time.Duration
	// Logger gets what the manager does; nil discards it.
	Logger *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// withDefaults returns a copy with the defaults filled in.
func (c Config) withDefaults() Config {
	if c.WorkDir == "" {
		c.WorkDir = c.Dir
	}
	if c.Env == nil {
		c.Env = func(workload.Job) []string { return nil }
	}
	if c.Grace == 0 {
		c.Grace = 10 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Warm != nil {
		w := *c.Warm
		w.Patience = cmp.Or(w.Patience, 500*time.Millisecond)
		c.Warm = &w
	}
	return c
}

// validate says what is missing.
func (c Config) validate() error {
	var errs []error
	if c.Dir == "" {
		errs = append(errs, errors.New("process: Dir is empty, give the folder for records and logs"))
	}
	if c.Command == nil || c.Ended == nil {
		errs = append(errs, errors.New("process: Command and Ended must be set"))
	}
	if c.Warm != nil && len(c.Warm.Command) == 0 {
		errs = append(errs, errors.New("process: Warm has no Command"))
	}
	if c.MaxParallel < 0 || c.Grace < 0 {
		errs = append(errs, fmt.Errorf("process: MaxParallel %d and Grace %s must not be negative", c.MaxParallel, c.Grace))
	}
	return errors.Join(errs...)
}

// Python returns a Command that runs the stage's module: "interpreter -m module
// spec".
func Python(interpreter string, modules map[events.Stage]string) func(workload.Job) ([]string, error) {
	return func(job workload.Job) ([]string, error) {
		module, ok := modules[job.Stage]
		if !ok {
			return nil, fmt.Errorf("no module runs stage %q", job.Stage)
		}
		return []string{interpreter, "-m", module, job.Spec}, nil
	}
}
