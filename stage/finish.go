package stage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/cloudevents/sdk-go/v2/event"

	"refit.dev/events"
	"refit.dev/stage/store"
	"refit.dev/workload"
)

// finish is the second step: a workload of the stage ended. Its result counts,
// not its exit status: a workload writes the result last.
func (f *Function) finish(ctx context.Context, e event.Event) error {
	var end workload.End
	if err := events.Validate(e); err != nil {
		return f.refuse(ctx, e, "", Failf("BadEvent", "%v", err))
	}
	if err := e.DataAs(&end); err != nil {
		return f.refuse(ctx, e, "", Failf("BadEvent", "%v", err))
	}
	over, err := f.repeat(ctx, end.Run)
	if over || err != nil {
		return err
	}
	run, err := loadRun(ctx, f.platform.State, end.Run)
	if errors.Is(err, store.ErrNotFound) {
		return f.refuse(ctx, e, "", Failf("UnknownRun", "workload %s belongs to run %q, which does not exist", end.Workload, end.Run))
	}
	if err != nil {
		return err
	}
	return f.settle(ctx, run, end, e)
}

// The reasons of a failure that the workload's log explains.
const (
	badResult = "BadResult"
	noResult  = "NoResult"
)

// unavailable are the reasons of a workload that another attempt may not meet.
var unavailable = []string{"StoreUnavailable", "RayUnavailable", "MLflowUnavailable"}

// settle decides what the end of an attempt means for the stage.
func (f *Function) settle(ctx context.Context, run events.Run, end workload.End, cause event.Event) error {
	decision, err := f.judge(ctx, run, end)
	err = f.withLog(ctx, end, err)
	var failure *FailedError
	var again *RetryError
	switch {
	case err == nil:
		return f.conclude(ctx, run, end.Attempt, cause, decision)
	case errors.As(err, &failure):
		return f.fail(ctx, run, end.Attempt, cause, failure)
	case errors.As(err, &again) && end.Attempt < f.platform.Attempts:
		return f.launch(ctx, run, end.Attempt+1, cause)
	case errors.As(err, &again):
		return f.fail(ctx, run, end.Attempt, cause, Failf("TooManyAttempts", "gave up after %d attempts: %s: replay the run from %s", end.Attempt, again.Reason, f.stage))
	default:
		return err
	}
}

// judge reads the attempt's result and asks the stage's logic, or tells from
// the end why there is no result.
func (f *Function) judge(ctx context.Context, run events.Run, end workload.End) (Decision, error) {
	if end.Outcome == workload.Cancelled {
		return Decision{Type: f.stage.Cancelled(), Data: events.Failed{
			Run: run.ID, Stage: f.stage, Attempt: end.Attempt, Reason: end.Reason, Message: or(end.Message, "the workload was cancelled"), Log: end.Log,
		}}, nil
	}
	result, err := f.result(ctx, run, end)
	if err != nil {
		return Decision{}, err
	}
	seen, err := f.view(ctx, run, end.Attempt)
	if err != nil {
		return Decision{}, err
	}
	return f.logic.Complete(ctx, seen, result)
}

// result reads result.json and checks it. What it cannot use is a FailedError.
func (f *Function) result(ctx context.Context, run events.Run, end workload.End) (workload.Result, error) {
	var result workload.Result
	o, err := f.platform.State.Get(ctx, attemptKey(run.ID, f.stage, end.Attempt)+"result.json")
	if errors.Is(err, store.ErrNotFound) {
		return result, withoutResult(end)
	}
	if err != nil {
		return result, err
	}
	if err := events.ValidateJSON("result", o.Body); err != nil {
		return result, Failf(badResult, "result.json of %s: %v", end.Workload, err)
	}
	if err := json.Unmarshal(o.Body, &result); err != nil {
		return result, Failf(badResult, "result.json of %s: %v", end.Workload, err)
	}
	if result.Error != nil && slices.Contains(unavailable, result.Error.Reason) {
		return result, &RetryError{Reason: result.Error.Message}
	}
	if result.Error != nil {
		return result, &FailedError{Reason: result.Error.Reason, Message: result.Error.Message}
	}
	return result, checkFigures(result)
}

func checkFigures(r workload.Result) error {
	body, err := json.Marshal(r.Figures)
	if err != nil {
		return fmt.Errorf("encode figures of %s: %w", r.Stage, err)
	}
	if err := events.ValidateJSON("figures."+string(r.Stage), body); err != nil {
		return Failf(badResult, "figures of %s in run %s: %v", r.Stage, r.Run, err)
	}
	return nil
}

// withoutResult says why a workload left no result.
func withoutResult(end workload.End) error {
	switch end.Outcome {
	case workload.Lost:
		return &RetryError{Reason: or(end.Message, "the workload was lost")}
	case workload.Succeeded:
		return Failf(noResult, "%s ended well but left no result.json: see its log", end.Workload)
	default:
		return &FailedError{Reason: end.Reason, Message: or(end.Message, string(end.Outcome))}
	}
}

// fail ends the run with a failed event.
func (f *Function) fail(ctx context.Context, run events.Run, attempt int, cause event.Event, failure *FailedError) error {
	return f.conclude(ctx, run, attempt, cause, Decision{Type: f.stage.Failed(), Data: events.Failed{
		Run: run.ID, Stage: f.stage, Attempt: attempt, Reason: failure.Reason, Message: failure.Message, Log: f.logURI(run.ID, attempt),
	}})
}

// failOr ends the run if err is a FailedError, and otherwise returns err, so that
// the event is delivered again.
func (f *Function) failOr(ctx context.Context, run events.Run, attempt int, cause event.Event, err error) error {
	if failed := (*FailedError)(nil); errors.As(err, &failed) {
		return f.fail(ctx, run, attempt, cause, failed)
	}
	return err
}

// conclude marks the end of the stage and announces it. The first mark wins,
// whoever wrote it.
func (f *Function) conclude(ctx context.Context, run events.Run, attempt int, cause event.Event, d Decision) error {
	e, err := f.envelope(events.Envelope{
		Type: d.Type, Run: run.ID, Key: strconv.Itoa(attempt), Cause: cause.ID(),
		ReplayOf: replayOf(run), Traceparent: run.Traceparent,
	}).Event(d.Data)
	if err != nil {
		return fmt.Errorf("conclude %s of run %s: %w", f.stage, run.ID, err)
	}
	mark, err := writeMark(ctx, f.platform.State, markKey(run.ID, f.stage), e)
	if err != nil {
		return err
	}
	return f.announce(ctx, run.ID, mark)
}

// announce sends a stage's mark; a terminal one becomes the run's mark first.
func (f *Function) announce(ctx context.Context, run string, mark event.Event) error {
	if events.Type(mark.Type()).Terminal() {
		winner, err := writeMark(ctx, f.platform.State, runMarkKey(run), mark)
		if err != nil {
			return err
		}
		mark = winner
	}
	return f.platform.Emitter.Emit(ctx, mark)
}

// view adds to a run what the stages before this one made, as their marks say.
func (f *Function) view(ctx context.Context, run events.Run, attempt int) (*Run, error) {
	r := &Run{
		Run: run, Attempt: attempt, Log: f.logURI(run.ID, attempt),
		artifacts: events.Artifacts{}, Figures: map[events.Stage]events.Figures{},
	}
	for _, before := range f.stage.Before() {
		done, err := completed(ctx, f.platform.State, run.ID, before)
		if err != nil {
			return nil, err
		}
		r.Figures[before] = done.Figures
		maps.Copy(r.artifacts, done.Artifacts)
	}
	return r, nil
}

func (f *Function) logURI(run string, attempt int) string {
	return "s3://" + f.platform.StateName + "/" + attemptKey(run, f.stage, attempt) + "log.txt"
}
