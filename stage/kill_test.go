package stage_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/stage"
	"refit.dev/stage/stagetest"
	"refit.dev/stage/store"
	"refit.dev/workload"
)

var errKilled = errors.New("killed")

// killer counts what a function does to the world, and kills it at one step:
// before the step, or after it, when nobody hears that it was done.
type killer struct {
	at, step int
	after    bool
}

func (k *killer) do(what func() error) error {
	k.step++
	if k.step != k.at {
		return what()
	}
	if k.after {
		_ = what() // done, and nobody knows
	}
	return errKilled
}

type killedBucket struct {
	store.Bucket
	*killer
}

func (b killedBucket) Create(ctx context.Context, key string, body []byte) error {
	return b.do(func() error { return b.Bucket.Create(ctx, key, body) })
}

func (b killedBucket) Get(ctx context.Context, key string) (o store.Object, err error) {
	err = b.do(func() error {
		o, err = b.Bucket.Get(ctx, key)
		return err
	})
	return o, err
}

type killedLauncher struct {
	workload.Launcher
	*killer
}

func (l killedLauncher) Launch(ctx context.Context, job workload.Job) error {
	return l.do(func() error { return l.Launcher.Launch(ctx, job) })
}

type killedEmitter struct {
	stage.Emitter
	*killer
}

func (e killedEmitter) Emit(ctx context.Context, sent event.Event) error {
	return e.do(func() error { return e.Emitter.Emit(ctx, sent) })
}

// journey takes an upload to the end of prepare, delivering each event until it
// is handled, and tells the ids of all that was said, whatever the run's.
func journey(t *testing.T, k *killer) (*stagetest.Bench, []string) {
	t.Helper()
	f := stage.New(events.Prepare, plain{})
	b := stagetest.New(t, f, nil)
	p := b.Platform(nil)
	p.State = killedBucket{p.State, k}
	p.Launcher = killedLauncher{p.Launcher, k}
	p.Emitter = killedEmitter{p.Emitter, k}
	require.NoError(t, f.StartOn(t.Context(), p))

	var said []string
	deliver := func(e event.Event) event.Event {
		_, err := f.Handle(t.Context(), e)
		if err != nil {
			require.ErrorIs(t, err, errKilled)
			_, err = f.Handle(t.Context(), e)
			require.NoError(t, err)
		}
		sent := b.Sent.Take()
		require.NotEmpty(t, sent)
		for _, s := range sent {
			said = append(said, strings.ReplaceAll(s.ID(), s.Subject(), "RUN"))
		}
		return sent[len(sent)-1]
	}
	started := deliver(b.Upload(stagetest.Key, "data", nil))
	deliver(started)
	deliver(b.Succeed(b.LaunchedRun(), events.Prepare, 1, prepared, "train"))
	slices.Sort(said)
	return b, slices.Compact(said)
}

func TestAFunctionMayBeKilledAtAnyStep(t *testing.T) {
	whole := &killer{}
	_, want := journey(t, whole)
	require.Len(t, want, 3, "run.started, prepare.started, prepare.completed")
	require.Greater(t, whole.step, 10)
	for at := 1; at <= whole.step; at++ {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("step %d, done %t", at, after), func(t *testing.T) {
				b, said := journey(t, &killer{at: at, after: after})
				require.Equal(t, want, said, "the same events, whatever happened")
				require.Len(t, b.Launcher.Launched(), 1, "one workload")
				claims, err := b.State.List(t.Context(), "claims/")
				require.NoError(t, err)
				require.Len(t, claims, 1, "one run")
			})
		}
	}
}
