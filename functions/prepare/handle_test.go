package prepare_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/functions/prepare"
	"refit.dev/stage/stagetest"
)

func TestLaunchesWithTheUploadedObject(t *testing.T) {
	b := stagetest.New(t, prepare.New(), nil)
	b.HandleAll(b.Upload(stagetest.Key, "data", nil))
	require.Equal(t, []string{"entity_data"}, b.InputNames())
}

func TestComplete(t *testing.T) {
	artifacts := []string{"train", "test", "entities", "report"}
	for name, tc := range map[string]struct {
		change    events.Figures
		artifacts []string
		want      string
	}{
		"every row accounted for completes": {artifacts: artifacts, want: "dev.refit.prepare.completed"},
		"a row that vanished fails":         {change: events.Figures{"rows": 4}, artifacts: artifacts, want: "3 kept and 0 dropped of 4"},
		"a row on neither side fails":       {change: events.Figures{"rows": 4, "kept": 4}, artifacts: artifacts, want: "2 in train and 1 in test"},
		"no spam in the test split fails":   {change: events.Figures{"spam_test": 0}, artifacts: artifacts, want: "spam_test"},
		"a missing artifact fails":          {artifacts: artifacts[:2], want: `no artifact "entities"`},
	} {
		t.Run(name, func(t *testing.T) {
			b := stagetest.New(t, prepare.New(), nil)
			b.Handle(b.Succeed(b.Run(nil), events.Prepare, 1, b.Figures("testdata/figures.json", tc.change), tc.artifacts...))
			require.Contains(t, b.Sent.Verdict(), tc.want)
		})
	}
}
