// Package source is the part that is always on: it says that a workload ended,
// and it sweeps, sending again whatever event got lost on its way.
package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"refit.dev/events"
	"refit.dev/stage/store"
	"refit.dev/workload"
)

// Config says what a Source looks at and whom it tells.
type Config struct {
	// State is the bucket of claims and runs, Landing that of uploads, whose
	// name is LandingName.
	State, Landing store.Bucket
	LandingName    string
	// Region of the store, for the events of landed objects.
	Region string
	// Send stores an event with the broker.
	Send func(context.Context, event.Event) error
	// Workloads are all that the launcher knows, by name.
	Workloads func(context.Context) (map[string]Workload, error)
	// Every is how often a sweep runs, a minute by default; Grace how old a trace
	// must be before the sweep takes its event for lost, a quarter of that.
	Every, Grace time.Duration
	// Clock is time.Now by default.
	Clock  func() time.Time
	Logger *slog.Logger
}

// WithDefaults returns c with what was left out filled in.
func (c Config) WithDefaults() Config {
	if c.Every <= 0 {
		c.Every = time.Minute
	}
	if c.Grace <= 0 {
		c.Grace = c.Every / 4
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Workload is what the launcher knows of one; End is nil while it runs.
type Workload struct{ End *workload.End }

// Source tells ends and sweeps. All methods are safe for concurrent use.
type Source struct {
	c    Config
	last atomic.Pointer[time.Time] // when the last sweep began, nil if it failed
}

// New returns a Source.
func New(c Config) *Source { return &Source{c: c.WithDefaults()} }

// Ended says that a workload ended. Nil means that the broker has the event;
// telling the same end twice is telling it once.
func (s *Source) Ended(ctx context.Context, end workload.End) error {
	e, err := s.ended(end)
	if err != nil {
		return err
	}
	return s.c.Send(ctx, e)
}

func (s *Source) ended(end workload.End) (event.Event, error) {
	e, err := events.Envelope{
		Type: events.WorkloadEnded, Source: events.SourceSource, Run: end.Run, Stage: end.Stage,
		Key: end.UID + ":" + string(end.Outcome), Outcome: end.Outcome, Time: end.EndedAt,
	}.Event(end)
	if err != nil {
		return e, stray("announce the end of "+end.Workload, err)
	}
	return e, nil
}

// ErrStray marks an end or a trace that no event can be made of: trying again is
// of no use.
var ErrStray = errors.New("nothing can be made of this")

func stray(what string, err error) error { return fmt.Errorf("%s: %w: %w", what, ErrStray, err) }

// passStray logs a stray trace and goes on, lest it hold up all others for ever.
func (s *Source) passStray(ctx context.Context, err error) error {
	if errors.Is(err, ErrStray) {
		s.c.Logger.WarnContext(ctx, "sweep leaves a trace alone", "error", err)
		return nil
	}
	return err
}

// Run sweeps until ctx is done. A sweep that fails is logged and made up for by
// the next.
func (s *Source) Run(ctx context.Context) {
	ticker := time.NewTicker(s.c.Every)
	defer ticker.Stop()
	for {
		if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.c.Logger.WarnContext(ctx, "sweep failed", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// again sends an event that was lost, with a fresh id, since a broker may
// remember the old one.
func (s *Source) again(ctx context.Context, e event.Event, why string) error {
	s.c.Logger.InfoContext(ctx, "sweep sends an event again", "type", e.Type(), "run", e.Subject(), "event_id", e.ID(), "why", why)
	e = e.Clone()
	e.SetID(fmt.Sprintf("%s:sweep-%d", e.ID(), s.c.Clock().Unix()))
	return s.c.Send(ctx, e)
}
