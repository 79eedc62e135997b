package stage

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cloudevents/sdk-go/v2/event"

	"refit.dev/events"
	"refit.dev/stage/store"
)

// Function is one stage as a Knative function: what func-go serves. It keeps
// nothing between events.
type Function struct {
	stage    events.Stage
	logic    Logic
	platform Platform
	started  atomic.Bool // func-go starts a function beside its first events
}

// New returns the function of stage s, to be started before its first event.
func New(s events.Stage, logic Logic) *Function {
	return &Function{stage: s, logic: logic}
}

// Start reads the settings that func-go hands over.
func (f *Function) Start(ctx context.Context, env map[string]string) error {
	p, err := FromEnv(env)
	if err != nil {
		return fmt.Errorf("start function %s: %w", f.stage, err)
	}
	return f.StartOn(ctx, p)
}

// StartOn starts the function on a given platform.
func (f *Function) StartOn(ctx context.Context, p Platform) error {
	f.platform = p.WithDefaults()
	if s, ok := f.logic.(Starter); ok {
		if err := s.Start(ctx, f.platform); err != nil {
			return fmt.Errorf("start function %s: %w", f.stage, err)
		}
	}
	f.started.Store(true)
	return nil
}

// Ready tells whether the function was started and reaches its store.
func (f *Function) Ready(ctx context.Context) (bool, error) {
	if !f.started.Load() {
		return false, nil
	}
	if _, err := f.platform.State.Head(ctx, "ready"); err != nil && !errors.Is(err, store.ErrNotFound) {
		return false, fmt.Errorf("function %s does not reach its store: %w", f.stage, err)
	}
	return true, nil
}

// Handle takes one event and answers when everything that follows from it is
// safe. It replies with no event: what it has to say it sends to the broker,
// since brokers may drop a reply. An error asks for the event again.
func (f *Function) Handle(ctx context.Context, e event.Event) (*event.Event, error) {
	if !f.started.Load() {
		return nil, fmt.Errorf("function %s has not started: send event %s again", f.stage, e.ID())
	}
	var err error
	switch {
	case events.IsObjectCreated(e.Type()):
		err = f.admitObject(ctx, e)
	case e.Type() == string(events.RunRequested):
		err = f.admitRequest(ctx, e)
	case e.Type() == string(events.WorkloadEnded):
		err = f.finish(ctx, e)
	default:
		err = f.begin(ctx, e)
	}
	if err != nil {
		f.platform.Logger.ErrorContext(ctx, "event was not handled", "stage", f.stage, "type", e.Type(), "event_id", e.ID(), "error", err)
	}
	return nil, err
}

// begin is the first step for an event by which the stage before completed.
func (f *Function) begin(ctx context.Context, e event.Event) error {
	run, err := loadRun(ctx, f.platform.State, e.Subject())
	if errors.Is(err, store.ErrNotFound) {
		return f.refuse(ctx, e, "", Failf("UnknownRun", "event %s names run %q, which does not exist: send %s to start one", e.Type(), e.Subject(), events.RunRequested))
	}
	if err != nil {
		return err
	}
	if e.Type() == string(events.RunStarted) {
		if err := f.inherit(ctx, run, e); err != nil {
			return f.failOr(ctx, run, 1, e, err)
		}
	}
	return f.launch(ctx, run, 1, e)
}

// emit sends an event about run from this function.
func (f *Function) emit(ctx context.Context, v events.Envelope, data any) error {
	e, err := f.envelope(v).Event(data)
	if err != nil {
		return err
	}
	return f.platform.Emitter.Emit(ctx, e)
}

func (f *Function) envelope(v events.Envelope) events.Envelope {
	v.Source, v.Stage, v.Time = events.FunctionSource(f.stage), f.stage, f.platform.Clock().UTC()
	return v
}
