package register_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/functions/register"
	"refit.dev/functions/register/registry/registrytest"
	"refit.dev/stage/stagetest"
	"refit.dev/stage/store"
)

// bundle is the function on a bench beside a registry.
type bundle struct {
	*stagetest.Bench
	models *registrytest.Server
	run    events.Run
}

func setup(t stagetest.T, values map[string]any) *bundle {
	t.Helper()
	models := registrytest.NewServer()
	b := stagetest.New(t, register.New(), map[string]string{"MLFLOW_TRACKING_URI": models.URL})
	return &bundle{Bench: b, models: models, run: b.Run(values)}
}

// tuned marks the stages before and returns the last one's event.
func (b *bundle) tuned() (last func()) {
	b.Completed(b.run, events.Prepare, events.Figures{"data_digest": "sha256:d"}, "train", "test", "entities", "report", "test_raw")
	b.Completed(b.run, events.Features, nil, "train_matrix", "test_matrix", "tfidf", "senders")
	b.Completed(b.run, events.Train, nil, "baseline", "baseline_choice")
	e := b.Completed(b.run, events.Tune, nil, "tuned", "tuned_choice")
	return func() { b.Handle(e) }
}

// evaluated hands in an evaluation with some figures changed.
func (b *bundle) evaluated(attempt int, change events.Figures) {
	b.Handle(b.Succeed(b.run, events.Register, attempt, b.Figures("testdata/figures.json", change)))
}

func against(version string, better bool, reason string) events.Figures {
	return events.Figures{"champion": map[string]any{
		"version": version, "rows": 900, "delta": 0.01, "delta_low": 0.001, "delta_high": 0.02, "better": better, "reason": reason,
	}}
}

func TestLaunchesWithTheTestSplitAndBothCandidates(t *testing.T) {
	b := setup(t, nil)
	defer b.models.Close()
	b.tuned()()
	require.Equal(t, []string{
		"baseline", "baseline_choice", "entities", "report", "senders", "test_matrix", "test_raw", "tfidf", "train_matrix", "tuned", "tuned_choice",
	}, b.InputNames())
}

func TestTheGate(t *testing.T) {
	for name, tc := range map[string]struct {
		f1, threshold float64
		wantType      string
		wantReason    string
	}{
		"above the threshold registers": {f1: 0.97, threshold: 0.85, wantType: "dev.refit.model.registered", wantReason: "F1 0.9700 on 1100 test mails reaches f1_threshold 0.85"},
		"at the threshold registers":    {f1: 0.85, threshold: 0.85, wantType: "dev.refit.model.registered", wantReason: "F1 0.8500"},
		"below the threshold rejects":   {f1: 0.8499, threshold: 0.85, wantType: "dev.refit.model.rejected", wantReason: "F1 0.8499 on 1100 test mails is below f1_threshold 0.85"},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t, map[string]any{"f1_threshold": tc.threshold})
			defer b.models.Close()
			b.tuned()
			b.evaluated(1, events.Figures{"f1": tc.f1})
			e := b.Sent.Take()[0]
			require.Equal(t, tc.wantType, e.Type())
			var model events.Model
			require.NoError(t, e.DataAs(&model))
			require.Contains(t, model.Reason, tc.wantReason)
			require.Contains(t, model.Link, "/#/experiments/1/runs/c3")
			require.Len(t, b.models.Versions("spam-detector"), map[string]int{"dev.refit.model.registered": 1}[tc.wantType])
		})
	}
}

func TestARegisteredVersionCarriesItsOrigin(t *testing.T) {
	b := setup(t, nil)
	defer b.models.Close()
	b.tuned()
	b.evaluated(1, nil)
	require.Equal(t, []registrytest.Stored{{Version: "1", Source: "models:/m-4", Tags: map[string]string{
		"refit.run": b.run.ID, "refit.data": b.run.Data.URI, "refit.data_digest": "sha256:d", "refit.image": "local", "refit.commit": "0123456",
		"refit.f1": "0.9700", "refit.winner": "tuned",
	}}}, b.models.Versions("spam-detector"))
	require.Equal(t, "1", b.models.Alias("spam-detector", "champion"))
}

func TestTheSameEndFiveTimesRegistersOnce(t *testing.T) {
	b := setup(t, nil)
	defer b.models.Close()
	b.tuned()
	for range 5 {
		b.evaluated(1, nil)
	}
	require.Len(t, b.models.Versions("spam-detector"), 1)
	sent := b.Sent.Take()
	require.Len(t, sent, 5)
	require.Equal(t, sent[0].ID(), sent[4].ID())
}

func TestAKillBetweenCreateAndMarkStillMakesOneVersion(t *testing.T) {
	b := setup(t, nil)
	defer b.models.Close()
	b.tuned()
	b.evaluated(1, nil)
	b.State.Remove("runs/" + b.run.ID + "/register/mark")
	b.State.Remove("runs/" + b.run.ID + "/mark")
	b.evaluated(1, nil)
	require.Len(t, b.models.Versions("spam-detector"), 1)
	require.Equal(t, "1", b.models.Alias("spam-detector", "champion"))
}

func TestTheChampion(t *testing.T) {
	for name, tc := range map[string]struct {
		change       events.Figures
		wantAlias    string
		wantReason   string
		wantChampion string
	}{
		"a better model becomes champion":       {change: against("1", true, "F1 is better by 0.010"), wantAlias: "champion", wantReason: "better by 0.010", wantChampion: "2"},
		"a model that is not better challenges": {change: against("1", false, "only 12 rows that neither saw"), wantAlias: "challenger", wantReason: "only 12 rows", wantChampion: "1"},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t, nil)
			defer b.models.Close()
			b.tuned()
			b.evaluated(1, nil)
			b.Sent.Take()
			b.run.ID = "r-20261123-070000-0a1b2c3d"
			again(t, b)
			b.evaluated(1, tc.change)
			var model events.Model
			require.NoError(t, b.Sent.Take()[0].DataAs(&model))
			require.Equal(t, tc.wantAlias, model.Alias)
			require.Contains(t, model.AliasReason, tc.wantReason)
			require.Equal(t, "2", b.models.Alias("spam-detector", tc.wantAlias))
			require.Equal(t, tc.wantChampion, b.models.Alias("spam-detector", "champion"))
		})
	}
}

func TestAChampionThatChangedMeanwhileIsComparedAgain(t *testing.T) {
	b := setup(t, nil)
	defer b.models.Close()
	b.tuned()
	b.evaluated(1, nil)
	b.Sent.Take()
	b.run.ID = "r-20261123-070000-0a1b2c3d"
	again(t, b)
	for attempt := 1; attempt < 3; attempt++ {
		b.evaluated(attempt, nil)
		require.Equal(t, []string{"dev.refit.register.started"}, b.Sent.Types())
	}
	b.evaluated(3, nil)
	var model events.Model
	require.NoError(t, b.Sent.Take()[0].DataAs(&model))
	require.Equal(t, "challenger", model.Alias)
	require.Contains(t, model.AliasReason, "changed to version 1")
	require.Len(t, b.models.Versions("spam-detector"), 2)
}

func TestARegistrationWaitsForTheLease(t *testing.T) {
	b := setup(t, nil)
	defer b.models.Close()
	b.tuned()
	p := b.Platform(nil)
	lease, err := store.Acquire(t.Context(), b.State, "locks/model/spam-detector", "another run", p.Clock(), 1e9)
	require.NoError(t, err)
	end := b.Succeed(b.run, events.Register, 1, b.Figures("testdata/figures.json", nil))
	_, err = b.Function.Handle(t.Context(), end)
	require.ErrorIs(t, err, store.ErrHeld)
	require.NoError(t, lease.Release(t.Context()))
	b.Handle(end)
	require.Equal(t, []string{"dev.refit.model.registered"}, b.Sent.Types())
}

// again writes the second run's definition and marks.
func again(t *testing.T, b *bundle) {
	t.Helper()
	const first = "r-20261123-060000-0a1b2c3d"
	o, err := b.State.Get(t.Context(), "runs/"+first+"/run.json")
	require.NoError(t, err)
	body := strings.ReplaceAll(string(o.Body), first, b.run.ID)
	require.NoError(t, b.State.Put(t.Context(), "runs/"+b.run.ID+"/run.json", []byte(body)))
	b.tuned()
}
