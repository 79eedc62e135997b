package source

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/cloudevents/sdk-go/v2/event"

	"refit.dev/events"
	"refit.dev/workload"
)

func (s *Source) sweepRuns(ctx context.Context, runs map[string]*trace) error {
	workloads, err := s.c.Workloads(ctx)
	if err != nil {
		return fmt.Errorf("sweep runs: %w", err)
	}
	for _, id := range slices.Sorted(maps.Keys(runs)) {
		t := runs[id]
		if !s.due(t.newest) {
			continue
		}
		if err := s.passStray(ctx, s.sweepRun(ctx, t, workloads)); err != nil {
			return fmt.Errorf("sweep run %s: %w", id, err)
		}
	}
	return nil
}

func (s *Source) sweepRun(ctx context.Context, t *trace, workloads map[string]Workload) error {
	last, next := t.stages()
	switch {
	case !t.marked.IsZero():
		return s.repeatMark(ctx, t)
	case next == "" || t.attempts(next) == 0:
		return s.sweepStep(ctx, t, last, next)
	}
	return s.sweepWorkload(ctx, t, next, workloads)
}

// repeatMark says once more, for a while, how a run ended: its last event may
// have been lost between the mark and the broker.
func (s *Source) repeatMark(ctx context.Context, t *trace) error {
	if s.c.Clock().Sub(t.marked) > s.c.Grace+2*s.c.Every {
		return nil
	}
	e, err := s.mark(ctx, "runs/"+t.run+"/mark")
	if err != nil {
		return err
	}
	return s.c.Send(ctx, e)
}

// sweepStep sends the event that begins next. If the stage before failed just
// when it should have marked the run, its own beginning makes it do so.
func (s *Source) sweepStep(ctx context.Context, t *trace, last, next events.Stage) error {
	if last != "" {
		e, err := s.mark(ctx, "runs/"+t.run+"/"+string(last)+"/mark")
		if err != nil {
			return err
		}
		if !events.Type(e.Type()).Terminal() {
			return s.again(ctx, e, "stage "+string(next)+" has not begun")
		}
		next = last
	}
	return s.begin(ctx, t, next)
}

// begin sends the event by which a stage begins.
func (s *Source) begin(ctx context.Context, t *trace, stage events.Stage) error {
	before := stage.Before()
	if len(before) == 0 {
		_, e, _, err := s.started(ctx, "runs/"+t.run+"/run.json")
		if err != nil {
			return err
		}
		return s.again(ctx, e, "the run has not begun")
	}
	e, err := s.mark(ctx, "runs/"+t.run+"/"+string(before[len(before)-1])+"/mark")
	if err != nil {
		return err
	}
	return s.again(ctx, e, "stage "+string(stage)+" is stuck")
}

// sweepWorkload deals with a stage that has specs but no mark.
func (s *Source) sweepWorkload(ctx context.Context, t *trace, stage events.Stage, workloads map[string]Workload) error {
	for attempt := t.attempts(stage); attempt > 0; attempt-- {
		known, found := workloads[workload.Job{Run: t.run, Stage: stage, Attempt: attempt}.Name()]
		switch {
		case found && known.End == nil:
			return nil
		case found:
			e, err := s.ended(*known.End)
			if err != nil {
				return err
			}
			return s.again(ctx, e, "the end of the workload has no mark")
		}
	}
	return s.begin(ctx, t, stage)
}

func (s *Source) mark(ctx context.Context, key string) (event.Event, error) {
	var e event.Event
	_, err := s.read(ctx, key, &e)
	return e, err
}
