// Package e2e_test runs real mail through the whole platform, the functions
// mounted in process.
package e2e_test

import (
	"slices"
	"sync"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/platform/host"
	"refit.dev/platform/journal"
	"refit.dev/test/platformtest"
	"refit.dev/workload"
)

// shared is the platform of all tests.
var shared *platformtest.Platform

func TestMain(m *testing.M) {
	platformtest.Main(m, &shared, func(*host.Config) {})
}

// first is the run that several tests look at: 600 real mails, three trials.
var first struct {
	once      sync.Once
	announced event.Event
	run       journal.RunView
}

const firstKey, firstModel = "first.parquet", "first"

// smallGate is an F1 that a model of some hundred mails reaches for sure; labels
// without meaning stay far below it.
const smallGate = "0.7"

func firstRun(t *testing.T) (event.Event, journal.RunView) {
	t.Helper()
	first.once.Do(func() {
		first.announced = shared.Upload(t, firstKey, shared.Sample(t, 600), map[string]string{
			"refit-num-hpo-trials": "3", "refit-model-name": firstModel, "refit-f1-threshold": smallGate,
		})
		first.run = shared.Ended(t, shared.Started(t, first.announced.ID()))
	})
	require.NotEmpty(t, first.run.ID, "the first run did not come to its end")
	return first.announced, first.run
}

func TestAnUploadBecomesARegisteredModel(t *testing.T) {
	_, run := firstRun(t)
	require.Equal(t, journal.Registered, run.State, run.Reason)
	require.Equal(t, "1", run.Model.Version)
	require.Equal(t, "champion", run.Model.Alias)
	require.InDelta(t, 600, run.Stage(events.Prepare).Figures["rows"], 0)
	require.InDelta(t, 524, run.Stage(events.Features).Figures["columns"], 0)
	require.InDelta(t, 3, run.Stage(events.Tune).Figures["trials"], 0)
	require.Positive(t, run.Stage(events.Register).Figures["serving_checked"], "the model gave the same answers from raw mail")

	versions := shared.Versions(t, firstModel)
	require.Len(t, versions, 1)
	require.Equal(t, run.ID, versions[0].Tag("refit.run"))
	require.NotEmpty(t, versions[0].Tag("refit.f1"))
	require.NotEmpty(t, versions[0].Tag("refit.data_digest"))
}

func TestEveryEventIsTiedToItsRunAndCause(t *testing.T) {
	announced, run := firstRun(t)
	list, err := shared.Journal.Events(t.Context(), journal.Filter{Run: run.ID})
	require.NoError(t, err)
	known := map[string]bool{announced.ID(): true}
	var types []string
	for _, e := range list {
		require.NoError(t, events.Validate(e))
		require.Equal(t, run.ID, e.Subject())
		require.Equal(t, run.ID, events.Extension(e, events.ExtCorrelationID))
		require.Equal(t, events.Extension(announced, events.ExtTraceparent)[:35], traceOf(t, e, announced))
		known[e.ID()] = true
		types = append(types, e.Type())
	}
	for _, e := range list {
		if cause := events.Extension(e, events.ExtCausationID); cause != "" {
			require.True(t, known[cause], "%s was caused by %s, which the journal does not have", e.Type(), cause)
		}
	}
	for _, s := range events.Stages()[:4] {
		require.Contains(t, types, string(s.Started()))
		require.Contains(t, types, string(s.Completed()))
	}
	require.Contains(t, types, string(events.ModelRegistered))
}

// traceOf is the trace of e; the end of a workload is told by the source, which
// knows the run alone and starts a trace of its own.
func traceOf(t *testing.T, e, announced event.Event) string {
	t.Helper()
	if e.Type() == string(events.WorkloadEnded) {
		return events.Extension(announced, events.ExtTraceparent)[:35]
	}
	return events.Extension(e, events.ExtTraceparent)[:35]
}

func TestTheWorkShowsInRayAndMLflow(t *testing.T) {
	_, run := firstRun(t)
	require.GreaterOrEqual(t, shared.RayJobs(t), 2, "train and tune connect to the head")
	var found struct {
		Runs []struct {
			Info struct {
				Name string `json:"run_name"`
			}
		}
	}
	shared.PostMLflow(t, "runs/search", map[string]any{
		"experiment_ids": []string{shared.Experiment(t, "refit/"+firstModel)}, "filter": "tags.`refit.run` = '" + run.ID + "'",
	}, &found)
	require.GreaterOrEqual(t, len(found.Runs), 4, "the run, its baseline, its search and its evaluation")
}

func TestTheSameEventFiveTimesIsOneRun(t *testing.T) {
	announced, run := firstRun(t)
	list, err := shared.Journal.Events(t.Context(), journal.Filter{Run: run.ID})
	require.NoError(t, err)
	for range 5 {
		shared.Deliver(t, events.Prepare, announced)
		for _, e := range list {
			if e.Type() == string(events.WorkloadEnded) {
				shared.Deliver(t, events.Stage(events.Extension(e, events.ExtStage)), e)
			}
		}
	}
	all, err := shared.Journal.Events(t.Context(), journal.Filter{Types: []string{string(events.RunStarted)}})
	require.NoError(t, err)
	runs := map[string]bool{}
	for _, e := range all {
		var started events.Run
		require.NoError(t, e.DataAs(&started))
		if started.Data.URI == run.Data.URI && started.Cause.ID == announced.ID() {
			runs[started.ID] = true
		}
	}
	require.Len(t, runs, 1)
	require.Len(t, shared.Launched(t, run.ID), len(events.Stages()), "one workload a stage")
	require.Len(t, shared.ByRun(t, firstModel, run.ID), 1)
}

func TestTwoUploadsAtOnceAreNotMixed(t *testing.T) {
	good := shared.Upload(t, "good.parquet", shared.Sample(t, 620), map[string]string{"refit-num-hpo-trials": "1", "refit-model-name": "good", "refit-f1-threshold": smallGate})
	noise := shared.Upload(t, "noise.parquet", shared.Sample(t, 610, "shuffle"), map[string]string{"refit-num-hpo-trials": "1", "refit-model-name": "noise", "refit-f1-threshold": smallGate})
	goodRun := shared.Ended(t, shared.Started(t, good.ID()))
	noiseRun := shared.Ended(t, shared.Started(t, noise.ID()))

	require.Equal(t, journal.Registered, goodRun.State, goodRun.Reason)
	require.Equal(t, journal.Rejected, noiseRun.State, "labels without meaning teach nothing: %s", noiseRun.Reason)
	require.InDelta(t, 620, goodRun.Stage(events.Prepare).Figures["rows"], 0)
	require.InDelta(t, 610, noiseRun.Stage(events.Prepare).Figures["rows"], 0)
	for _, run := range []journal.RunView{goodRun, noiseRun} {
		for _, s := range run.Stages {
			for name, a := range s.Artifacts {
				require.Contains(t, a.URI, "/runs/"+run.ID+"/", "%s of %s", name, run.ID)
			}
		}
	}
	require.Len(t, shared.Versions(t, "good"), 1)
	require.Empty(t, shared.Versions(t, "noise"), "a rejected model has no version")
}

func TestAnInjectedRequestRepeatsTheRunBitForBit(t *testing.T) {
	_, before := firstRun(t)
	id := shared.Request(t, map[string]any{"entity_data_path": firstKey, "num_hpo_trials": "3", "test_split_ratio": "0.2", "model_name": firstModel, "f1_threshold": smallGate})
	run := shared.Ended(t, shared.Started(t, id))
	require.Equal(t, journal.Registered, run.State, run.Reason)
	require.Equal(t, 3, run.Parameters.NumHPOTrials)
	for _, name := range []string{"train", "test", "entities"} {
		require.Equal(t, before.Stage(events.Prepare).Artifacts[name].Digest, run.Stage(events.Prepare).Artifacts[name].Digest, name)
	}
	require.Equal(t, before.Stage(events.Train).Artifacts["baseline"].Digest, run.Stage(events.Train).Artifacts["baseline"].Digest)
	// One of the hundred validation mails is worth 0.016 here; the bound of 0.01
	// is held on the default data by BenchmarkRepeat.
	require.InDelta(t, before.Stage(events.Tune).Figures["f1"], run.Stage(events.Tune).Figures["f1"], 0.05)
	require.Equal(t, "challenger", run.Model.Alias, "an equal model does not beat the champion: %s", run.Model.AliasReason)
	require.NotEmpty(t, run.Model.AliasReason)
}

func TestAReplayFromRegisterWithAHigherGateRejects(t *testing.T) {
	_, before := firstRun(t)
	versions := len(shared.Versions(t, firstModel))
	id := shared.Request(t, map[string]any{"replay": events.Replay{Run: before.ID, From: events.Register}, "f1_threshold": 0.999})
	run := shared.Ended(t, shared.Started(t, id))
	require.Equal(t, journal.Rejected, run.State, run.Reason)
	require.Contains(t, run.Reason, "below f1_threshold 0.999")
	require.Equal(t, []string{run.ID + "-register-1"}, shared.Launched(t, run.ID), "nothing before register runs again")
	require.Equal(t, before.Stage(events.Tune).Artifacts, run.Stage(events.Tune).Artifacts, "by reference")
	require.Len(t, shared.Versions(t, firstModel), versions)
	list, err := shared.Journal.Events(t.Context(), journal.Filter{Run: run.ID})
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(list, func(e event.Event) bool {
		return events.Extension(e, events.ExtReplayOf) == before.ID
	}))
}

func TestAWrongRequestIsRefusedWithWhatIsAccepted(t *testing.T) {
	id := shared.Request(t, map[string]any{"f1_treshold": 0.9, "num_hpo_trials": 0})
	refused := shared.CausedBy(t, id)
	require.Equal(t, string(events.LandingRefused), refused.Type())
	var landing events.Landing
	require.NoError(t, refused.DataAs(&landing))
	require.Contains(t, landing.Message, `unknown parameter "f1_treshold"`)
	require.Contains(t, landing.Message, "num_hpo_trials=0: accepted is a whole number from 1 to 10000")
	require.Equal(t, events.Definitions()[3].Name, landing.Accepted[3].Name)
}

func TestACancelledWorkloadCancelsItsRun(t *testing.T) {
	announced := shared.Upload(t, "cancelled.parquet", shared.Sample(t, 600), nil)
	run := shared.Started(t, announced.ID())
	shared.Until(t, journal.Filter{Run: run}, func(e event.Event) bool { return e.Type() == string(events.Prepare.Started()) })
	require.NoError(t, shared.Launcher().Cancel(t.Context(), workload.Job{Run: run, Stage: events.Prepare, Attempt: 1}.Name()))
	require.Equal(t, journal.Cancelled, shared.Ended(t, run).State)
}
