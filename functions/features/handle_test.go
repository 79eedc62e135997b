package features_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/functions/features"
	"refit.dev/stage/stagetest"
)

var prepared = events.Figures{"train_rows": 2, "test_rows": 1}

func TestLaunchesWithTheMailAndItsEntities(t *testing.T) {
	b := stagetest.New(t, features.New(), nil)
	b.Handle(b.Completed(b.Run(nil), events.Prepare, prepared, "train", "test", "entities", "report"))
	require.Equal(t, []string{"entities", "test", "train"}, b.InputNames())
}

func TestComplete(t *testing.T) {
	artifacts := []string{"train_matrix", "test_matrix", "tfidf", "senders"}
	for name, tc := range map[string]struct {
		change    events.Figures
		artifacts []string
		want      string
	}{
		"a full matrix completes":         {artifacts: artifacts, want: "dev.refit.features.completed"},
		"lost train rows fail":            {change: events.Figures{"train_rows": 1}, artifacts: artifacts, want: "the join gave 1 train and 1 test rows: expected 2 and 1"},
		"multiplied test rows fail":       {change: events.Figures{"test_rows": 2}, artifacts: artifacts, want: "the join gave 2 train and 2 test rows: expected 2 and 1"},
		"another number of columns fails": {change: events.Figures{"columns": 528}, artifacts: artifacts, want: "figures of features"},
		"a missing artifact fails":        {artifacts: artifacts[:3], want: `no artifact "senders"`},
	} {
		t.Run(name, func(t *testing.T) {
			b := stagetest.New(t, features.New(), nil)
			run := b.Run(nil)
			b.Completed(run, events.Prepare, prepared, "train", "test", "entities")
			b.Handle(b.Succeed(run, events.Features, 1, b.Figures("testdata/figures.json", tc.change), tc.artifacts...))
			require.Contains(t, b.Sent.Verdict(), tc.want)
		})
	}
}
