package stage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/cloudevents/sdk-go/v2/event"

	"refit.dev/events"
	"refit.dev/stage/store"
)

// Run is a run as a stage sees it: its definition, and what the stages before
// made.
type Run struct {
	events.Run
	// Attempt at this stage, from 1.
	Attempt int
	// Figures of the stages before, by stage.
	Figures map[events.Stage]events.Figures
	// Log is the URI of the attempt's log.
	Log string

	artifacts events.Artifacts
}

// Inputs picks artifacts of the stages before by name. A name that is missing
// is a FailedError.
func (r *Run) Inputs(names ...string) (events.Artifacts, error) {
	picked := events.Artifacts{}
	for _, name := range names {
		a, found := r.artifacts[name]
		if !found {
			return nil, Failf("MissingArtifact", "no stage before made the artifact %q: replay %s from an earlier stage", name, r.ID)
		}
		picked[name] = a
	}
	return picked, nil
}

// Optional adds those of the named artifacts that exist to inputs.
func (r *Run) Optional(inputs events.Artifacts, names ...string) {
	for _, name := range names {
		if a, found := r.artifacts[name]; found {
			inputs[name] = a
		}
	}
}

// The keys below which the state bucket keeps a run.
func runKey(run string) string     { return "runs/" + run + "/run.json" }
func runMarkKey(run string) string { return "runs/" + run + "/mark" }

func markKey(run string, s events.Stage) string {
	return "runs/" + run + "/" + string(s) + "/mark"
}

func attemptKey(run string, s events.Stage, attempt int) string {
	return "runs/" + run + "/" + string(s) + "/" + strconv.Itoa(attempt) + "/"
}

// loadRun reads a run's definition; store.ErrNotFound means that there is none.
func loadRun(ctx context.Context, state store.Bucket, id string) (events.Run, error) {
	var run events.Run
	o, err := state.Get(ctx, runKey(id))
	if err != nil {
		return run, fmt.Errorf("read run %s: %w", id, err)
	}
	if err := json.Unmarshal(o.Body, &run); err != nil {
		return run, fmt.Errorf("read run %s: %w", id, err)
	}
	return run, nil
}

// completed reads the mark of a stage that is done. A stage that is not, or
// that failed, is a FailedError.
func completed(ctx context.Context, state store.Bucket, run string, s events.Stage) (events.Completed, error) {
	var data events.Completed
	mark, found, err := readMark(ctx, state, markKey(run, s))
	if err != nil {
		return data, err
	}
	if !found || mark.Type() != string(s.Completed()) {
		return data, Failf("StageMissing", "run %s has not completed stage %s: replay it from %s", run, s, s)
	}
	if err := mark.DataAs(&data); err != nil {
		return data, fmt.Errorf("read mark of %s in run %s: %w", s, run, err)
	}
	return data, nil
}

// readMark reads the terminal event kept at key.
func readMark(ctx context.Context, state store.Bucket, key string) (event.Event, bool, error) {
	o, err := state.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return event.Event{}, false, nil
	}
	if err != nil {
		return event.Event{}, false, fmt.Errorf("read mark %s: %w", key, err)
	}
	var e event.Event
	if err := json.Unmarshal(o.Body, &e); err != nil {
		return event.Event{}, false, fmt.Errorf("read mark %s: %w", key, err)
	}
	return e, true, nil
}

// writeMark keeps e at key. The first mark wins and is returned.
func writeMark(ctx context.Context, state store.Bucket, key string, e event.Event) (event.Event, error) {
	body, err := json.Marshal(e)
	if err != nil {
		return event.Event{}, fmt.Errorf("encode mark %s: %w", key, err)
	}
	err = state.Create(ctx, key, body)
	if errors.Is(err, store.ErrExists) {
		winner, _, err := readMark(ctx, state, key)
		return winner, err
	}
	return e, err
}
