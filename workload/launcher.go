package workload

import (
	"context"
	"errors"
)

// ErrNotFound is returned by Cancel for a name that was never launched.
var ErrNotFound = errors.New("workload not found")

// ErrInvalid is returned by Launch for a job that can never be launched as it
// stands: to repeat the call is no use.
var ErrInvalid = errors.New("invalid job")

// ErrRefused is returned by Launch for a job that was not launched and is refused
// as things stand, such as for a quota: it may be launched later.
var ErrRefused = errors.New("job is refused")

// Launcher starts workloads somewhere and returns at once. It is safe for
// concurrent use. Every backend passes the suite in workloadtest.
type Launcher interface {
	// Launch starts job. A job whose name was launched before, running or
	// ended, is left alone and nil is returned. An error means that nothing
	// was started and, but for ErrInvalid, the call may be repeated.
	Launch(ctx context.Context, job Job) error
	// Cancel asks the named workload to end; its End then has the outcome
	// Cancelled. An ended workload is left alone. ErrNotFound means that there
	// is no such workload.
	Cancel(ctx context.Context, name string) error
}
