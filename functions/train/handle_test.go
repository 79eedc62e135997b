package train_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/functions/train"
	"refit.dev/stage/stagetest"
)

// before marks the stages before this one and returns the last one's event.
func before(b *stagetest.Bench, run events.Run) (last func()) {
	b.Completed(run, events.Prepare, nil, "train", "test")
	e := b.Completed(run, events.Features, nil, "train_matrix", "test_matrix")
	return func() { b.Handle(e) }
}

func TestLaunchesWithTheTrainingMatrixAlone(t *testing.T) {
	b := stagetest.New(t, train.New(), nil)
	before(b, b.Run(nil))()
	require.Equal(t, []string{"train_matrix"}, b.InputNames())
}

func TestComplete(t *testing.T) {
	artifacts := []string{"baseline", "baseline_choice"}
	for name, tc := range map[string]struct {
		workers   int
		artifacts []string
		want      string
	}{
		"a baseline of the workers asked for completes": {workers: 1, artifacts: artifacts, want: "dev.refit.train.completed"},
		"fewer workers than asked for fail":             {workers: 2, artifacts: artifacts, want: "1 workers trained the baseline: num_workers is 2"},
		"a missing artifact fails":                      {workers: 1, artifacts: artifacts[:1], want: `no artifact "baseline_choice"`},
	} {
		t.Run(name, func(t *testing.T) {
			b := stagetest.New(t, train.New(), nil)
			run := b.Run(map[string]any{"num_workers": tc.workers})
			before(b, run)
			b.Handle(b.Succeed(run, events.Train, 1, b.Figures("testdata/figures.json", nil), tc.artifacts...))
			require.Contains(t, b.Sent.Verdict(), tc.want)
		})
	}
}
