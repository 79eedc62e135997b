package journal_test

import (
	"math/rand/v2"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/platform/journal"
)

// wholeRun is a registered run whose training was lost once.
func wholeRun(t *testing.T, run string) []event.Event {
	t.Helper()
	list := []event.Event{runStarted(t, run, nil)}
	for i, s := range []events.Stage{events.Prepare, events.Features} {
		list = append(list, started(t, run, s, 1, 10*i+1), ended(t, run, s, 1, 10*i+2, 10*i+7, events.Succeeded),
			completed(t, run, s, 1, 10*i+8, events.Figures{"rows": 600.0}))
	}
	return append(list,
		started(t, run, events.Train, 1, 21), ended(t, run, events.Train, 1, 22, 23, events.Lost),
		started(t, run, events.Train, 2, 24), completed(t, run, events.Train, 2, 29, events.Figures{"f1": 0.9}),
		started(t, run, events.Tune, 1, 30), completed(t, run, events.Tune, 1, 39, events.Figures{"trials": 3.0}),
		started(t, run, events.Register, 1, 40), ended(t, run, events.Register, 1, 41, 45, events.Succeeded),
		decided(t, run, events.ModelRegistered, 46))
}

func TestFold(t *testing.T) {
	tests := map[string]struct {
		events      func(*testing.T) []event.Event
		wantState   journal.State
		wantReason  string
		wantStages  []journal.State
		wantCurrent events.Stage
	}{
		"a run that was registered": {
			events:    func(t *testing.T) []event.Event { return wholeRun(t, runA) },
			wantState: journal.Registered, wantReason: "F1 0.9700 reaches 0.85",
			wantStages:  []journal.State{journal.Completed, journal.Completed, journal.Completed, journal.Completed, journal.Completed},
			wantCurrent: events.Register,
		},
		"a run that was rejected": {
			events: func(t *testing.T) []event.Event {
				return []event.Event{runStarted(t, runA, nil), started(t, runA, events.Register, 1, 40), decided(t, runA, events.ModelRejected, 46)}
			},
			wantState: journal.Rejected, wantReason: "F1 0.9700 reaches 0.85",
			wantStages:  []journal.State{journal.Waiting, journal.Waiting, journal.Waiting, journal.Waiting, journal.Completed},
			wantCurrent: events.Register,
		},
		"a run in its first stage": {
			events: func(t *testing.T) []event.Event {
				return []event.Event{runStarted(t, runA, nil), started(t, runA, events.Prepare, 1, 2)}
			},
			wantState:   journal.Running,
			wantStages:  []journal.State{journal.Running, journal.Waiting, journal.Waiting, journal.Waiting, journal.Waiting},
			wantCurrent: events.Prepare,
		},
		"a run whose second stage failed": {
			events: func(t *testing.T) []event.Event {
				return []event.Event{
					runStarted(t, runA, nil), started(t, runA, events.Prepare, 1, 2), completed(t, runA, events.Prepare, 1, 5, events.Figures{}),
					started(t, runA, events.Features, 1, 6), failed(t, runA, events.Features, events.Features.Failed()),
				}
			},
			wantState: journal.Failed, wantReason: "features: FeatureStore: the join came out empty",
			wantStages:  []journal.State{journal.Completed, journal.Failed, journal.Waiting, journal.Waiting, journal.Waiting},
			wantCurrent: events.Features,
		},
		"a run that somebody cancelled": {
			events: func(t *testing.T) []event.Event {
				return []event.Event{runStarted(t, runA, nil), failed(t, runA, events.Features, events.Features.Cancelled())}
			},
			wantState: journal.Cancelled, wantReason: "features: FeatureStore: the join came out empty",
			wantStages:  []journal.State{journal.Waiting, journal.Cancelled, journal.Waiting, journal.Waiting, journal.Waiting},
			wantCurrent: events.Features,
		},
		"a replay from register": {
			events: func(t *testing.T) []event.Event {
				return []event.Event{
					runStarted(t, runA, &events.Replay{Run: runB, From: events.Register}),
					completed(t, runA, events.Tune, 1, 1, events.Figures{}), started(t, runA, events.Register, 1, 2),
				}
			},
			wantState:   journal.Running,
			wantStages:  []journal.State{journal.Inherited, journal.Inherited, journal.Inherited, journal.Inherited, journal.Running},
			wantCurrent: events.Register,
		},
		"a run whose start was lost": {
			events: func(t *testing.T) []event.Event {
				return []event.Event{started(t, runA, events.Train, 2, 21)}
			},
			wantState:   journal.Running,
			wantStages:  []journal.State{journal.Waiting, journal.Waiting, journal.Running, journal.Waiting, journal.Waiting},
			wantCurrent: events.Train,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			views := journal.Fold(test.events(t))
			require.Len(t, views, 1)
			v := views[0]
			var states []journal.State
			for _, s := range v.Stages {
				states = append(states, s.State)
			}
			require.Equal(t, test.wantState, v.State)
			require.Equal(t, test.wantReason, v.Reason)
			require.Equal(t, test.wantStages, states)
			require.Equal(t, test.wantCurrent, v.Current().Stage)
		})
	}
}

func failed(t *testing.T, run string, s events.Stage, kind events.Type) event.Event {
	t.Helper()
	return say(t, events.Envelope{Type: kind, Run: run, Stage: s, Key: "1", Time: at(9)}, events.Failed{
		Run: run, Stage: s, Attempt: 1, Reason: "FeatureStore", Message: "the join came out empty", Log: "s3://refit/log.txt",
	})
}

func TestFoldKeepsFiguresAndTimes(t *testing.T) {
	v := journal.Fold(wholeRun(t, runA))[0]
	require.Equal(t, "s3://landing/mail.parquet", v.Data.URI)
	require.Equal(t, at(0), v.StartedAt)
	require.Equal(t, at(46), v.EndedAt)
	require.Equal(t, journal.ModelView{
		Name: "spam-detector", Version: "3", Alias: "champion", AliasReason: "there was no champion",
		F1: 0.97, Threshold: 0.85, Link: "http://127.0.0.1:5000/",
	}, *v.Model)
	train := v.Stage(events.Train)
	require.Equal(t, 2, train.Attempt)
	require.Equal(t, at(21), train.StartedAt)
	require.InDelta(t, 2.5, train.Seconds, 0)
	register := v.Stage(events.Register)
	require.InDelta(t, 4, register.Seconds, 0, "the end of the workload tells its seconds")
	require.Equal(t, events.Figures{"f1": 0.97}, register.Figures)
	require.Nil(t, v.Stage("other"))
}

func TestFoldBearsAnyOrderAndDuplicates(t *testing.T) {
	list := append(wholeRun(t, runA), wholeRun(t, runB)...)
	late := started(t, runA, events.Features, 1, 33)
	list = append(list, late)
	want := journal.Fold(list)
	require.Len(t, want, 2)
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		mixed := append(append([]event.Event{}, list...), list[:random.IntN(len(list))]...)
		random.Shuffle(len(mixed), func(i, k int) { mixed[i], mixed[k] = mixed[k], mixed[i] })
		require.Equal(t, want, journal.Fold(mixed))
	}
}

func TestFoldPassesOverWhatTellsNothing(t *testing.T) {
	stray := event.New()
	stray.SetID("1")
	stray.SetType("com.example.other")
	stray.SetSource("/x")
	stray.SetSubject(runA)
	broken := started(t, runB, events.Train, 1, 5)
	require.NoError(t, broken.SetData(event.ApplicationJSON, []string{"no object"}))
	views := journal.Fold([]event.Event{stray, broken})
	require.Len(t, views, 1)
	require.Nil(t, views[0].Current())
}
