package source_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudevents/sdk-go/v2/test"
	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/events/eventstest"
	"refit.dev/platform/source"
	"refit.dev/stage/store"
	"refit.dev/workload"
)

func TestAnEndIsToldAsAnEventWhoseIdFollowsFromIt(t *testing.T) {
	b := setup(t)
	run := b.Run(nil)
	tell := func(change func(*workload.End)) string {
		t.Helper()
		end := b.ended(run, events.Tune, 2)
		change(end)
		require.NoError(t, b.source.Ended(t.Context(), *end))
		sent := b.sent.Take()
		require.Len(t, sent, 1)
		test.AssertEvent(t, sent[0], eventstest.Is(events.WorkloadEnded), eventstest.InRun(run.ID), eventstest.Says(*end),
			test.HasSource(events.SourceSource), test.HasExtension(events.ExtStage, "tune"),
			test.HasExtension(events.ExtOutcome, string(end.Outcome)), test.HasTime(end.EndedAt))
		return sent[0].ID()
	}
	first := tell(func(*workload.End) {})
	require.Equal(t, "/refit/source:dev.refit.workload.ended:"+run.ID+":u:succeeded", first)
	require.Equal(t, first, tell(func(e *workload.End) { e.Message = "told again" }))
	require.NotEqual(t, first, tell(func(e *workload.End) { e.UID = "v" }), "another workload of the same name")
	require.NotEqual(t, first, tell(func(e *workload.End) { e.Outcome = workload.Lost }))
}

func TestAnEndThatTheBrokerDoesNotTakeIsNotTold(t *testing.T) {
	b := setup(t)
	end := b.ended(b.Run(nil), events.Tune, 1)
	b.sent.FailNext(errDown)
	require.ErrorIs(t, b.source.Ended(t.Context(), *end), errDown)
	end.Attempt = 0
	require.ErrorContains(t, b.source.Ended(t.Context(), *end), "/attempt", "and one that breaks its schema not either")
	require.Empty(t, b.sent.Take())
}

func TestASourceHasDefaults(t *testing.T) {
	c := source.Config{}.WithDefaults()
	require.Equal(t, time.Minute, c.Every)
	require.Equal(t, 15*time.Second, c.Grace)
	require.NotNil(t, c.Clock)
	require.NotNil(t, c.Logger)
}

func TestRunSweepsAtOnceAndThenAtIntervalsWhateverFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var swept []time.Duration
		s := source.New(source.Config{
			State: new(store.Memory), Landing: new(store.Memory), LandingName: "landing", Every: time.Minute,
			Workloads: func(context.Context) (map[string]source.Workload, error) {
				swept = append(swept, time.Since(began))
				return nil, errors.New("launcher is down")
			},
			Logger: slog.New(slog.DiscardHandler),
		})
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Second)
		defer cancel()
		s.Run(ctx)
		require.Equal(t, []time.Duration{0, time.Minute, 2 * time.Minute}, swept)
		require.Equal(t, 150*time.Second, time.Since(began))
	})
}

// broken is a bucket that cannot be listed below a prefix, nor read.
type broken struct {
	*store.Memory
	list string
	get  bool
}

func (b broken) List(ctx context.Context, prefix string) ([]store.Info, error) {
	if prefix == b.list {
		return nil, errDown
	}
	return b.Memory.List(ctx, prefix)
}

func (b broken) Get(ctx context.Context, key string) (store.Object, error) {
	if b.get {
		return store.Object{}, errDown
	}
	return b.Memory.Get(ctx, key)
}

func TestAStoreThatIsDownFailsTheSweep(t *testing.T) {
	for name, state := range map[string]broken{
		"claims":   {list: "claims/"},
		"runs":     {list: "runs/"},
		"refusals": {list: "refusals/"},
		"objects":  {list: "none", get: true},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			b.Run(nil)
			c := b.config(b.Landing)
			state.Memory = b.State
			c.State = state
			b.ahead = every
			require.ErrorIs(t, source.New(c).Sweep(t.Context()), errDown)
		})
	}
}
