package stage

import (
	"context"
	"fmt"

	"refit.dev/events"
	"refit.dev/workload"
)

// Logic is what one stage adds to the two steps. Both methods may be called
// again for the same run and must then come to the same end.
type Logic interface {
	// Plan names the artifacts that the stage's workload reads.
	Plan(ctx context.Context, run *Run) (events.Artifacts, error)
	// Complete judges what the workload made. A *FailedError ends the run, an
	// *RetryError launches the next attempt; after any other error the broker
	// delivers the event again.
	Complete(ctx context.Context, run *Run, result workload.Result) (Decision, error)
}

// Starter is for a Logic that needs something of the platform.
type Starter interface {
	// Start is called once, before the first event.
	Start(ctx context.Context, p Platform) error
}

// Decision is the event by which a stage ends.
type Decision struct {
	Type events.Type
	Data any
}

// Completed is the Decision to go on with the next stage.
func Completed(run *Run, result workload.Result) Decision {
	return Decision{Type: result.Stage.Completed(), Data: events.Completed{
		Run: result.Run, Stage: result.Stage, Attempt: result.Attempt,
		Figures: result.Figures, Artifacts: result.Artifacts, Log: run.Log,
		Seconds: result.EndedAt.Sub(result.StartedAt).Seconds(),
	}}
}

// FailedError ends a run: trying again would end the same way.
type FailedError struct {
	// Reason is one CamelCase word.
	Reason string
	// Message names the value, what is accepted and what to do next.
	Message string
}

// Error gives both parts.
func (f *FailedError) Error() string { return f.Reason + ": " + f.Message }

// Failf makes a FailedError.
func Failf(reason, format string, args ...any) *FailedError {
	return &FailedError{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// RetryError asks for another attempt at the stage, because the world changed while
// the last one ran.
type RetryError struct{ Reason string }

// Error gives the reason.
func (r *RetryError) Error() string { return "another attempt is needed: " + r.Reason }
