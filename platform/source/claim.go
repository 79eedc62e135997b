package source

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/cloudevents/sdk-go/v2/event"

	"refit.dev/events"
	"refit.dev/stage/store"
)

// sweepClaims gives a run.json to claims whose claimant died before it wrote
// one, and starts the run.
func (s *Source) sweepClaims(ctx context.Context, claims []store.Info, runs map[string]*trace) error {
	started := map[string]bool{}
	for id := range runs {
		started[id[strings.LastIndex(id, "-")+1:]] = true
	}
	for _, c := range claims {
		if started[short(c.Key)] || !s.due(c.LastModified) {
			continue
		}
		if err := s.passStray(ctx, s.revive(ctx, c.Key)); err != nil {
			return fmt.Errorf("sweep claim %s: %w", c.Key, err)
		}
	}
	return nil
}

// short is the part of a claim's key that its run's id ends in.
func short(claim string) string {
	hash := path.Base(claim)
	return hash[:min(8, len(hash))]
}

func (s *Source) revive(ctx context.Context, claim string) error {
	o, e, run, err := s.started(ctx, claim)
	if err != nil {
		return err
	}
	if err := s.c.State.Create(ctx, "runs/"+run+"/run.json", o.Body); err != nil && !errors.Is(err, store.ErrExists) {
		return err
	}
	return s.again(ctx, e, "the claim had no run")
}

// started is the event that begins the run whose definition is at key.
func (s *Source) started(ctx context.Context, key string) (definition store.Object, e event.Event, id string, err error) {
	var run events.Run
	if definition, err = s.read(ctx, key, &run); err != nil {
		return definition, e, "", err
	}
	e, err = events.Envelope{
		Type: events.RunStarted, Source: events.FunctionSource(events.Prepare), Run: run.ID, Stage: events.Prepare,
		Cause: run.Cause.ID, ReplayOf: replayOf(run), Traceparent: run.Traceparent, Time: run.CreatedAt,
	}.Event(run)
	if err != nil {
		return definition, e, "", stray("begin the run of "+key, err)
	}
	return definition, e, run.ID, nil
}

func replayOf(run events.Run) string {
	if run.Replay == nil {
		return ""
	}
	return run.Replay.Run
}
