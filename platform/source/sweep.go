package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"time"

	"refit.dev/stage/store"
)

// Sweep looks once for what got stuck: landed objects without a claim, claims
// without a run, runs whose next step has not begun, and ended workloads
// without a mark. It decides nothing itself: it sends the event again that the
// function in charge should have had.
func (s *Source) Sweep(ctx context.Context) error {
	now := s.c.Clock()
	err := s.sweep(ctx)
	if err != nil {
		s.last.Store(nil)
		return err
	}
	s.last.Store(&now)
	return nil
}

func (s *Source) sweep(ctx context.Context) error {
	claims, err := s.c.State.List(ctx, "claims/")
	if err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	found, err := s.c.State.List(ctx, "runs/")
	if err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	runs := traces(found)
	return errors.Join(s.sweepLanding(ctx, claims), s.sweepClaims(ctx, claims, runs), s.sweepRuns(ctx, runs))
}

// read decodes the object at key. One that is gone, or that is not what its key
// says, is a stray.
func (s *Source) read(ctx context.Context, key string, into any) (store.Object, error) {
	o, err := s.c.State.Get(ctx, key)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return o, stray("read "+key, err)
	case err != nil:
		return o, fmt.Errorf("read %s: %w", key, err)
	}
	if err := json.Unmarshal(o.Body, into); err != nil {
		return o, stray("read "+key, err)
	}
	return o, nil
}

// due tells whether a trace of time t has waited long enough to be seen to now.
// Until something comes of it, it is due again each time its age has doubled,
// so that an outage piles up no events. The first sweep, and the one after a
// sweep that failed, see to everything.
func (s *Source) due(t time.Time) bool {
	age, last := s.c.Clock().Sub(t), s.last.Load()
	return age >= s.c.Grace && (last == nil || doublings(age, s.c.Grace) != doublings(last.Sub(t), s.c.Grace))
}

func doublings(age, unit time.Duration) int {
	return bits.Len64(uint64(max(0, age) / unit))
}
