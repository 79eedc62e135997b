package stage

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cloudevents/sdk-go/v2/event"

	"refit.dev/events"
	"refit.dev/stage/store"
)

// admitReplay starts a run that repeats another one from a stage on, with some
// parameters changed.
func (f *Function) admitReplay(ctx context.Context, e event.Event, request events.Request) error {
	run, err := f.repetition(ctx, request)
	var failure *FailedError
	var parameter *events.ParameterError
	if errors.As(err, &failure) || errors.As(err, &parameter) {
		return f.refuse(ctx, e, "", err)
	}
	if err != nil {
		return err
	}
	return f.admit(ctx, e, events.ClaimOfRequest(e.Source(), e.ID()), run)
}

// repetition is the new run's definition.
func (f *Function) repetition(ctx context.Context, request events.Request) (events.Run, error) {
	replay := request.Replay
	if !replay.From.Valid() {
		return events.Run{}, Failf("BadStage", "replay from stage %q: accepted are %v", replay.From, events.Stages())
	}
	old, err := loadRun(ctx, f.platform.State, replay.Run)
	if errors.Is(err, store.ErrNotFound) {
		return events.Run{}, Failf("UnknownRun", "there is no run %q to replay: refit runs lists them", replay.Run)
	}
	if err != nil {
		return events.Run{}, err
	}
	if err := changesNothingBefore(replay.From, request.Parameters); err != nil {
		return events.Run{}, err
	}
	parameters, err := old.Parameters.With(request.Parameters)
	if err != nil {
		return events.Run{}, err
	}
	for _, before := range replay.From.Before() {
		if _, err := completed(ctx, f.platform.State, old.ID, before); err != nil {
			return events.Run{}, err
		}
	}
	return events.Run{Parameters: parameters, Data: old.Data, Replay: replay}, nil
}

// changesNothingBefore refuses parameters that a stage before from has used.
func changesNothingBefore(from events.Stage, changed map[string]any) error {
	for _, d := range events.Definitions() {
		if _, set := changed[d.Name]; set && slices.Contains(from.Before(), d.Stage) {
			return Failf("BadParameter", "parameter %s is used by stage %s: replay from %s to change it", d.Name, d.Stage, d.Stage)
		}
	}
	if _, set := changed["entity_data_path"]; set {
		return Failf("BadParameter", "a replay trains on the data of its run: send %s to use other data", events.RunRequested)
	}
	return nil
}

// inherit gives a replay the results of the stages that it does not repeat, by
// reference, as marks of its own. Each of these stages then finds its mark and
// says again that it completed, down to the first stage that has none. The mark
// of the first stage is the last one written: a run whose marks are not all
// there looks as if it had not begun, and whoever begins it carries on here.
func (f *Function) inherit(ctx context.Context, run events.Run, cause event.Event) error {
	if run.Replay == nil {
		return nil
	}
	for _, s := range slices.Backward(run.Replay.From.Before()) {
		data, err := completed(ctx, f.platform.State, run.Replay.Run, s)
		if err != nil {
			return fmt.Errorf("inherit %s from run %s: %w", s, run.Replay.Run, err)
		}
		data.Run = run.ID
		e, err := events.Envelope{
			Type: s.Completed(), Source: events.FunctionSource(s), Run: run.ID, Stage: s, Key: "replay", Cause: cause.ID(),
			ReplayOf: run.Replay.Run, Traceparent: run.Traceparent, Time: f.platform.Clock().UTC(),
		}.Event(data)
		if err != nil {
			return err
		}
		if _, err = writeMark(ctx, f.platform.State, markKey(run.ID, s), e); err != nil {
			return err
		}
	}
	return nil
}
