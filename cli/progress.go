package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"refit.dev/events"
	"refit.dev/platform/journal"
	"refit.dev/stage/store"
)

// progress is progress.json, what a workload says about how far it is.
type progress struct {
	Step    string    `json:"step"`
	Done    int       `json:"done"`
	Total   int       `json:"total"`
	Message string    `json:"message"`
	At      time.Time `json:"at"`
}

// String is "trials 8/20, best F1 0.971".
func (p progress) String() string {
	text := p.Step
	if p.Total > 0 {
		text += fmt.Sprintf(" %d/%d", p.Done, p.Total)
	}
	if p.Message != "" {
		text += ", " + p.Message
	}
	return text
}

// readProgress reads how far a stage is. That it has said nothing yet is no
// error.
func readProgress(ctx context.Context, state store.Bucket, run string, s *journal.StageView) (progress, bool, error) {
	var p progress
	o, err := state.Get(ctx, attemptKey(run, s.Stage, s.Attempt, "progress.json"))
	if errors.Is(err, store.ErrNotFound) {
		return p, false, nil
	}
	if err != nil {
		return p, false, err
	}
	if err := json.Unmarshal(o.Body, &p); err != nil {
		return p, false, fmt.Errorf("read progress of %s: %w", s.Stage, err)
	}
	return p, true, nil
}

// readMark reads the event that ended a run, straight from where the decision
// is kept. The journal may have missed it.
func readMark(ctx context.Context, state store.Bucket, run string) (event.Event, bool, error) {
	var e event.Event
	o, err := state.Get(ctx, "runs/"+run+"/mark")
	if errors.Is(err, store.ErrNotFound) {
		return e, false, nil
	}
	if err != nil {
		return e, false, err
	}
	if err := json.Unmarshal(o.Body, &e); err != nil {
		return e, false, fmt.Errorf("read how run %s ended: %w", run, err)
	}
	return e, true, nil
}

func attemptKey(run string, s events.Stage, attempt int, name string) string {
	return fmt.Sprintf("runs/%s/%s/%d/%s", run, s, attempt, name)
}
