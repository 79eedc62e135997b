package stage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"refit.dev/events"
	"refit.dev/stage/store"
	"refit.dev/workload"
)

// launch is the first step: say again how the stage ended if it did, else see
// that the workload of the attempt is launched. Launching is idempotent, so
// every delivery of the event may do it.
func (f *Function) launch(ctx context.Context, run events.Run, attempt int, cause event.Event) error {
	over, err := f.repeat(ctx, run.ID)
	if over || err != nil {
		return err
	}
	spec, err := f.spec(ctx, run, attempt)
	if err != nil {
		return f.failOr(ctx, run, attempt, cause, err)
	}
	job := workload.Job{
		Run: run.ID, Stage: f.stage, Attempt: attempt, Spec: spec.Output + "spec.json",
		Image: spec.Image, Deadline: spec.Deadline,
	}
	err = f.platform.Launcher.Launch(ctx, job)
	switch {
	case errors.Is(err, workload.ErrInvalid):
		return f.fail(ctx, run, attempt, cause, Failf("LaunchRefused", "%v: mend the template, then replay the run from %s", err, f.stage))
	case errors.Is(err, workload.ErrRefused) && f.platform.Clock().After(job.Deadline):
		return f.fail(ctx, run, attempt, cause, Failf("LaunchFailed", "not launched by its deadline, %s: %v: mend that, then replay the run from %s",
			job.Deadline.Format(time.RFC3339), err, f.stage))
	case err != nil:
		return fmt.Errorf("launch %s: %w", job.Name(), err)
	}
	return f.emit(ctx, events.Envelope{
		Type: f.stage.Started(), Run: run.ID, Key: strconv.Itoa(attempt),
		Cause: cause.ID(), ReplayOf: replayOf(run), Traceparent: run.Traceparent,
	}, events.Started{
		Run: run.ID, Stage: f.stage, Attempt: attempt, Workload: job.Name(), Spec: job.Spec, Deadline: job.Deadline,
	})
}

// repeat tells whether the stage, or the whole run, is over; it then says again
// how, in case the event that said so was lost.
func (f *Function) repeat(ctx context.Context, run string) (over bool, err error) {
	mark, found, err := readMark(ctx, f.platform.State, markKey(run, f.stage))
	if err != nil {
		return false, err
	}
	if found {
		return true, f.announce(ctx, run, mark)
	}
	_, over, err = readMark(ctx, f.platform.State, runMarkKey(run))
	return over, err
}

// spec writes spec.json for the attempt, or reads the one that is there: the
// first writer's counts, its deadline too.
func (f *Function) spec(ctx context.Context, run events.Run, attempt int) (workload.Spec, error) {
	key := attemptKey(run.ID, f.stage, attempt)
	seen, err := f.view(ctx, run, attempt)
	if err != nil {
		return workload.Spec{}, err
	}
	inputs, err := f.logic.Plan(ctx, seen)
	if err != nil {
		return workload.Spec{}, fmt.Errorf("plan %s of run %s: %w", f.stage, run.ID, err)
	}
	spec := workload.Spec{
		Run: run.ID, Stage: f.stage, Attempt: attempt, Inputs: inputs,
		Output: "s3://" + f.platform.StateName + "/" + key, Parameters: run.Parameters,
		Image: f.platform.Image, Commit: run.Commit, Data: run.Data,
		Deadline: f.platform.Clock().UTC().Add(f.platform.Deadline).Truncate(time.Second),
	}
	body, err := json.MarshalIndent(spec, "", "  ")
	if err != nil {
		return spec, fmt.Errorf("encode spec of %s in run %s: %w", f.stage, run.ID, err)
	}
	if err := events.ValidateJSON("spec", body); err != nil {
		return spec, Failf("BadSpec", "the spec of %s breaks its schema: %v", f.stage, err)
	}
	err = f.platform.State.Create(ctx, key+"spec.json", body)
	if errors.Is(err, store.ErrExists) {
		return readSpec(ctx, f.platform.State, key+"spec.json")
	}
	return spec, err
}

func readSpec(ctx context.Context, state store.Bucket, key string) (workload.Spec, error) {
	var spec workload.Spec
	o, err := state.Get(ctx, key)
	if err != nil {
		return spec, fmt.Errorf("read spec: %w", err)
	}
	if err := json.Unmarshal(o.Body, &spec); err != nil {
		return spec, fmt.Errorf("read spec %s: %w", key, err)
	}
	return spec, nil
}

func replayOf(run events.Run) string {
	if run.Replay == nil {
		return ""
	}
	return run.Replay.Run
}
