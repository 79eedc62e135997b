package source_test

import (
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/test"
	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/events/eventstest"
	"refit.dev/platform/source"
	"refit.dev/stage/stagetest"
	"refit.dev/workload"
)

func TestARunWhoseNextStageHasNotBegunIsSentOn(t *testing.T) {
	for _, s := range events.Stages() {
		t.Run(string(s), func(t *testing.T) {
			b := setup(t)
			run := b.Run(nil)
			want := b.done(run, s)
			require.Empty(t, b.after(t, 0), "nothing within the grace")
			got := b.only(t)
			if s == events.Prepare {
				test.AssertEvent(t, got, eventstest.Is(events.RunStarted), eventstest.InRun(run.ID), eventstest.Says(run))
				require.Contains(t, got.ID(), ":sweep-")
				return
			}
			requireSentAgain(t, want, got)
		})
	}
}

func TestAnEventSentAgainHasAnotherIdEachTime(t *testing.T) {
	b := setup(t)
	b.done(b.Run(nil), events.Train)
	first := b.only(t)
	require.NotEqual(t, first.ID(), b.only(t).ID())
	require.Empty(t, b.after(t, every), "only when its age has doubled")
}

func TestAStageWithAWorkload(t *testing.T) {
	for name, tc := range map[string]struct {
		specs     int                              // attempts that have a spec
		workloads func(*bundle, events.Run)        // that the launcher knows
		want      func(*bundle, events.Run) string // the type sent, with the attempt for an end
	}{
		"that runs is left alone": {
			specs:     1,
			workloads: func(b *bundle, run events.Run) { b.workloads[b.job(run, events.Train, 1).Name()] = source.Workload{} },
			want:      func(*bundle, events.Run) string { return "" },
		},
		"that ended without a mark is told to have ended": {
			specs: 1,
			workloads: func(b *bundle, run events.Run) {
				b.workloads[b.job(run, events.Train, 1).Name()] = source.Workload{End: b.ended(run, events.Train, 1)}
			},
			want: func(*bundle, events.Run) string { return "dev.refit.workload.ended 1" },
		},
		"whose second attempt runs is left alone": {
			specs: 2,
			workloads: func(b *bundle, run events.Run) {
				b.workloads[b.job(run, events.Train, 1).Name()] = source.Workload{End: b.ended(run, events.Train, 1)}
				b.workloads[b.job(run, events.Train, 2).Name()] = source.Workload{}
			},
			want: func(*bundle, events.Run) string { return "" },
		},
		"whose second attempt ended is told of that": {
			specs: 2,
			workloads: func(b *bundle, run events.Run) {
				b.workloads[b.job(run, events.Train, 1).Name()] = source.Workload{End: b.ended(run, events.Train, 1)}
				b.workloads[b.job(run, events.Train, 2).Name()] = source.Workload{End: b.ended(run, events.Train, 2)}
			},
			want: func(*bundle, events.Run) string { return "dev.refit.workload.ended 2" },
		},
		"whose second attempt was never launched is told of the first": {
			specs: 2,
			workloads: func(b *bundle, run events.Run) {
				b.workloads[b.job(run, events.Train, 1).Name()] = source.Workload{End: b.ended(run, events.Train, 1)}
			},
			want: func(*bundle, events.Run) string { return "dev.refit.workload.ended 1" },
		},
		"that was never launched begins again": {
			specs: 1, workloads: func(*bundle, events.Run) {},
			want: func(*bundle, events.Run) string { return "dev.refit.features.completed" },
		},
		"is not mistaken for one of another run": {
			specs: 1,
			workloads: func(b *bundle, run events.Run) {
				run.ID = "r-20261123-060000-ffffffff"
				b.workloads[b.job(run, events.Train, 1).Name()] = source.Workload{}
			},
			want: func(*bundle, events.Run) string { return "dev.refit.features.completed" },
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			run := b.Run(nil)
			b.done(run, events.Train)
			for attempt := range tc.specs {
				b.put(t, run, "train/"+string(rune('1'+attempt))+"/spec.json", map[string]any{})
			}
			tc.workloads(b, run)
			require.Empty(t, b.after(t, 0), "nothing within the grace")
			require.Equal(t, tc.want(b, run), told(t, b.after(t, every)))
		})
	}
}

// told writes the events down: type, and attempt for an end.
func told(t *testing.T, sent []event.Event) string {
	t.Helper()
	var all []string
	for _, e := range sent {
		require.Contains(t, e.ID(), ":sweep-")
		require.NoError(t, events.Validate(e))
		line := e.Type()
		if e.Type() == string(events.WorkloadEnded) {
			require.Equal(t, "train", events.Extension(e, events.ExtStage))
			require.Equal(t, "succeeded", events.Extension(e, events.ExtOutcome))
			line += " " + string(rune('0'+eventstest.DataAs[workload.End](t, e).Attempt))
		}
		all = append(all, line)
	}
	return strings.Join(all, ", ")
}

func TestAnUnfinishedWorkloadOfPrepareBeginsAgainWithTheRun(t *testing.T) {
	b := setup(t)
	b.HandleAll(b.Upload(stagetest.Key, "data", nil))
	again := b.only(t)
	test.AssertEvent(t, again, eventstest.Is(events.RunStarted), eventstest.InRun(b.LaunchedRun().ID))
	b.Handle(again)
	require.Len(t, b.Launcher.Launched(), 1, "launching is idempotent")
}

func TestAFinishedRunSaysSoForAWhileInTheSameWords(t *testing.T) {
	b := setup(t)
	run := b.Run(nil)
	mark := b.failed(t, run, events.Prepare)
	b.put(t, run, "mark", mark)
	require.Empty(t, b.after(t, 0))
	for range 2 {
		require.Equal(t, throughJSON(t, mark), throughJSON(t, b.only(t)), "the very same event: whoever has it knows it")
	}
	for range 20 {
		require.Empty(t, b.after(t, every))
	}
}

func TestAStageThatFailedWithoutMarkingTheRunIsBegunAgain(t *testing.T) {
	t.Run("the first one", func(t *testing.T) {
		b := setup(t)
		run := b.Run(nil)
		mark := b.failed(t, run, events.Prepare)
		again := b.only(t)
		test.AssertEvent(t, again, eventstest.Is(events.RunStarted), eventstest.InRun(run.ID))

		b.Handle(again)
		require.Equal(t, mark.ID(), b.Sent.Take()[0].ID(), "the function finds its mark and says it again")
		_, err := b.State.Head(t.Context(), "runs/"+run.ID+"/mark")
		require.NoError(t, err, "and marks the run")
		require.Empty(t, b.Launcher.Launched())
	})
	for _, s := range events.Stages()[1:] {
		t.Run(string(s), func(t *testing.T) {
			b := setup(t)
			run := b.Run(nil)
			want := b.done(run, s)
			b.failed(t, run, s)
			requireSentAgain(t, want, b.only(t))
		})
	}
}

func TestAReplayThatDiedBeforeItBeganIsBegun(t *testing.T) {
	b := setup(t)
	run := b.Run(nil)
	run.Replay = &events.Replay{Run: "r-20261122-060000-0a1b2c3d", From: events.Train}
	b.put(t, run, "run.json", run)
	b.Completed(run, events.Features, nil)
	again := b.only(t)
	test.AssertEvent(t, again, eventstest.Is(events.RunStarted), test.HasExtension(events.ExtReplayOf, run.Replay.Run))
}

func TestWhatCannotBeReadHoldsUpNothingElse(t *testing.T) {
	b := setup(t)
	b.put(t, events.Run{ID: "r-20261101-060000-00000001"}, "prepare/1/spec.json", "a run without a definition")
	b.put(t, events.Run{ID: "r-20261101-060000-00000002"}, "run.json", []int{1})
	b.put(t, events.Run{ID: "r-20261101-060000-00000003"}, "run.json", map[string]any{"run": "of another time"})
	b.put(t, events.Run{ID: "r-20261101-060000-00000004"}, "mark", "no event")
	require.NoError(t, b.State.Put(t.Context(), "runs/stray", nil))
	require.NoError(t, b.State.Put(t.Context(), "claims/x", []byte("short")))
	require.NoError(t, b.State.Put(t.Context(), "claims/"+strings.Repeat("0", 64), []byte("{")))
	run := b.Run(nil)
	b.workloads["unknown"] = source.Workload{End: new(workload.End)}
	require.Equal(t, run.ID, b.only(t).Subject())
	require.Equal(t, run.ID, b.only(t).Subject())
	require.Empty(t, b.after(t, every), "and the sweep counts as one that went through")
}

func TestAFailedSendFailsTheSweepAndTheNextOneSeesToEverything(t *testing.T) {
	b := setup(t)
	b.Upload(stagetest.Key, "data", nil)
	b.done(b.Run(nil), events.Tune)
	require.Len(t, b.after(t, every), 2)
	require.Len(t, b.after(t, every), 2)

	b.ahead += 2 * every
	b.sent.FailNext(errDown, errDown)
	require.ErrorIs(t, b.source.Sweep(t.Context()), errDown)
	require.Len(t, b.after(t, time.Second), 2, "though no age has doubled since")
	require.Empty(t, b.after(t, time.Second))
}
