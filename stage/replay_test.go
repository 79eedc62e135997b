package stage_test

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/stage/stagetest"
	"refit.dev/stage/store"
)

func replay(run string, from events.Stage, values map[string]any) map[string]any {
	data := map[string]any{"replay": events.Replay{Run: run, From: from}}
	maps.Copy(data, values)
	return data
}

func TestAReplayTakesEarlierResultsByReference(t *testing.T) {
	b := bench(t, events.Prepare, plain{})
	old := b.Run(nil)
	b.Completed(old, events.Prepare, prepared, "train")
	b.Completed(old, events.Features, events.Figures{}, "train_matrix")
	b.Handle(b.Request("1", replay(old.ID, events.Train, map[string]any{"f1_threshold": "0.9"})))

	sent := b.Sent.Take()
	require.Len(t, sent, 1)
	run := dataAs[events.Run](t, sent[0])
	require.NotEqual(t, old.ID, run.ID)
	require.InDelta(t, 0.9, run.Parameters.F1Threshold, 0)
	require.Equal(t, old.Data, run.Data)

	b.Handle(sent[0])
	said := b.Sent.Take()
	require.Len(t, said, 1, "prepare finds its mark and says so again")
	require.Equal(t, string(events.Prepare.Completed()), said[0].Type())
	require.Equal(t, run.ID, said[0].Subject())
	require.Equal(t, old.ID, events.Extension(said[0], events.ExtReplayOf))
	require.Equal(t, stagetest.Artifacts("train"), dataAs[events.Completed](t, said[0]).Artifacts)
	require.Empty(t, b.Launcher.Launched())

	_, err := b.State.Head(t.Context(), "runs/"+run.ID+"/features/mark")
	require.NoError(t, err)
}

func TestAReplayFromTheStartLaunchesPrepare(t *testing.T) {
	b := bench(t, events.Prepare, plain{})
	old := b.Run(nil)
	sent := b.HandleAll(b.Request("1", replay(old.ID, events.Prepare, map[string]any{"seed": 1})))
	require.Equal(t, "dev.refit.prepare.started", sent[1].Type())
}

func TestReplaysThatAreRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		from       events.Stage
		values     map[string]any
		wantInText string
	}{
		"a stage that is none":                    {from: "bake", wantInText: `"bake": accepted are [prepare features train tune register]`},
		"a parameter that an earlier stage used":  {from: events.Train, values: map[string]any{"seed": 1}, wantInText: "seed is used by stage prepare"},
		"other data":                              {from: events.Prepare, values: map[string]any{"entity_data_path": "x"}, wantInText: "trains on the data of its run"},
		"a wrong value":                           {from: events.Train, values: map[string]any{"num_workers": 0}, wantInText: "num_workers=0"},
		"a stage before that was never completed": {from: events.Tune, wantInText: "has not completed stage features"},
	} {
		t.Run(name, func(t *testing.T) {
			b := bench(t, events.Prepare, plain{})
			old := b.Run(nil)
			b.Completed(old, events.Prepare, prepared, "train")
			b.Handle(b.Request("1", replay(old.ID, tc.from, tc.values)))
			sent := b.Sent.Take()
			require.Equal(t, string(events.LandingRefused), sent[0].Type())
			require.Contains(t, dataAs[events.Landing](t, sent[0]).Message, tc.wantInText)
		})
	}
}

func TestAReplayWhoseClaimantDiedStillTakesEarlierResultsByReference(t *testing.T) {
	for name, done := range map[string][]events.Stage{
		"before the first mark":      nil,
		"between two marks":          {events.Features},
		"after the last":             {events.Features, events.Prepare},
		"and was told of many times": {events.Features, events.Prepare},
	} {
		t.Run(name, func(t *testing.T) {
			b := bench(t, events.Prepare, plain{})
			old := b.Run(nil)
			b.Completed(old, events.Prepare, prepared, "train")
			b.Completed(old, events.Features, events.Figures{}, "train_matrix")
			b.Handle(b.Request("1", replay(old.ID, events.Train, nil)))
			started := b.Sent.Take()[0]
			for _, s := range done {
				b.Completed(dataAs[events.Run](t, started), s, nil, "inherited")
			}
			for range 2 {
				b.Handle(started)
				require.Equal(t, []string{"dev.refit.prepare.completed"}, b.Sent.Types())
			}
			require.Empty(t, b.Launcher.Launched(), "nothing before train runs again")
			for _, s := range []events.Stage{events.Prepare, events.Features} {
				_, err := b.State.Head(t.Context(), "runs/"+started.Subject()+"/"+string(s)+"/mark")
				require.NoError(t, err)
			}
			_, err := b.State.Head(t.Context(), "runs/"+started.Subject()+"/train/mark")
			require.ErrorIs(t, err, store.ErrNotFound)
		})
	}
}

func TestAReplayOfResultsThatAreGoneFails(t *testing.T) {
	b := bench(t, events.Prepare, plain{})
	old := b.Run(nil)
	b.Completed(old, events.Prepare, prepared, "train")
	b.Handle(b.Request("1", replay(old.ID, events.Features, nil)))
	started := b.Sent.Take()[0]
	b.State.Remove("runs/" + old.ID + "/prepare/mark")
	b.Handle(started)
	failed := b.Sent.Take()[0]
	require.Equal(t, "dev.refit.prepare.failed", failed.Type())
	require.Equal(t, "StageMissing", dataAs[events.Failed](t, failed).Reason)
}
