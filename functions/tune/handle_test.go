package tune_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/functions/tune"
	"refit.dev/stage/stagetest"
)

// before marks the stages before this one and returns the last one's event.
func before(b *stagetest.Bench, run events.Run) (last func()) {
	b.Completed(run, events.Prepare, nil, "train", "test")
	b.Completed(run, events.Features, nil, "train_matrix", "test_matrix")
	e := b.Completed(run, events.Train, nil, "baseline", "baseline_choice")
	return func() { b.Handle(e) }
}

func TestLaunchesWithTheBaselineAsFirstTrial(t *testing.T) {
	b := stagetest.New(t, tune.New(), nil)
	before(b, b.Run(nil))()
	require.Equal(t, []string{"baseline_choice", "train_matrix"}, b.InputNames())
}

func TestComplete(t *testing.T) {
	artifacts := []string{"tuned", "tuned_choice"}
	for name, tc := range map[string]struct {
		trials    int
		artifacts []string
		want      string
	}{
		"as many trials as asked for complete": {trials: 20, artifacts: artifacts, want: "dev.refit.tune.completed"},
		"fewer trials fail":                    {trials: 21, artifacts: artifacts, want: "20 trials ran: num_hpo_trials is 21"},
		"a missing artifact fails":             {trials: 20, artifacts: artifacts[1:], want: `no artifact "tuned"`},
	} {
		t.Run(name, func(t *testing.T) {
			b := stagetest.New(t, tune.New(), nil)
			run := b.Run(map[string]any{"num_hpo_trials": tc.trials})
			before(b, run)
			b.Handle(b.Succeed(run, events.Tune, 1, b.Figures("testdata/figures.json", nil), tc.artifacts...))
			require.Contains(t, b.Sent.Verdict(), tc.want)
		})
	}
}
