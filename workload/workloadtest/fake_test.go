package workloadtest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/workload"
	"refit.dev/workload/workloadtest"
)

// player ends the jobs of a Fake as their image says. Its clock runs fast: what
// hangs meets any deadline below a minute.
type player struct{ *workloadtest.Fake }

func (p player) Launch(ctx context.Context, job workload.Job) error {
	if err := p.Fake.Launch(ctx, job); err != nil {
		return err
	}
	switch workloadtest.Behaviour(job.Image) {
	case workloadtest.Succeeds:
		return p.End(ctx, job.Name(), workload.Succeeded)
	case workloadtest.Fails:
		return p.End(ctx, job.Name(), workload.Failed)
	default: // it hangs
		return p.Expire(ctx, time.Now().Add(time.Minute))
	}
}

func TestFake(t *testing.T) {
	workloadtest.Run(t, func(*testing.T) workloadtest.Harness {
		ends := make(chan workload.End, 16)
		fake := workloadtest.NewFake()
		fake.Ended = func(_ context.Context, end workload.End) error {
			ends <- end
			return nil
		}
		return workloadtest.Harness{
			Launcher: player{fake}, Ends: ends,
			Prepare: func(job workload.Job, b workloadtest.Behaviour) workload.Job {
				job.Image = string(b)
				return job
			},
			Starts: func(name string) int {
				n := 0
				for _, job := range fake.Launched() {
					if job.Name() == name {
						n++
					}
				}
				return n
			},
		}
	})
}

func TestFakeRefuses(t *testing.T) {
	fake, job := workloadtest.NewFake(), workload.Job{Run: "r", Stage: events.Train, Attempt: 1}
	full := errors.New("no room")
	fake.Refuse(full)
	require.ErrorIs(t, fake.Launch(t.Context(), job), full)
	require.Empty(t, fake.Launched())
	fake.Refuse(nil)
	require.NoError(t, fake.Launch(t.Context(), job))
	fake.Refuse(full)
	require.NoError(t, fake.Launch(t.Context(), job), "it was launched before")
	require.Equal(t, []workload.Job{job}, fake.Launched())
}

func TestFakePassesOnWhatEndedSays(t *testing.T) {
	fake, job := workloadtest.NewFake(), workload.Job{Run: "r", Stage: events.Train, Attempt: 1}
	deaf := errors.New("no broker")
	fake.Ended = func(context.Context, workload.End) error { return deaf }
	require.NoError(t, fake.Launch(t.Context(), job))
	require.ErrorIs(t, fake.End(t.Context(), job.Name(), workload.Lost), deaf)
	require.Equal(t, workload.Lost, fake.Outcome(job.Name()))
}

func ExampleFake() {
	ctx := context.Background()
	fake := workloadtest.NewFake()
	fake.Ended = func(_ context.Context, end workload.End) error {
		fmt.Println(end.Workload, end.Outcome, end.Reason)
		return nil
	}
	job := workload.Job{Run: "r-20261123-060000-0a1b2c3d", Stage: events.Train, Attempt: 1}
	if err := fake.Launch(ctx, job); err != nil {
		fmt.Println(err)
	}
	if err := fake.End(ctx, job.Name(), workload.Lost); err != nil {
		fmt.Println(err)
	}
	// Output: r-20261123-060000-0a1b2c3d-train-1 lost PlatformStopped
}
