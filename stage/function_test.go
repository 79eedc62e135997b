package stage_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/stage"
	"refit.dev/stage/stagetest"
	"refit.dev/workload"
)

// plain is a Logic without demands.
type plain struct {
	inputs []string
	err    error
}

func (p plain) Plan(_ context.Context, run *stage.Run) (events.Artifacts, error) {
	if len(p.inputs) == 0 {
		return events.Artifacts{"entity_data": run.Data.Artifact}, nil
	}
	return run.Inputs(p.inputs...)
}

func (p plain) Complete(_ context.Context, run *stage.Run, result workload.Result) (stage.Decision, error) {
	return stage.Completed(run, result), p.err
}

func bench(t *testing.T, s events.Stage, logic plain) *stagetest.Bench {
	t.Helper()
	return stagetest.New(t, stage.New(s, logic), nil)
}

var prepared = events.Figures{
	"data_digest": "sha256:" + strings.Repeat("0f", 32),
	"rows":        3, "kept": 3, "dropped": 0, "train_rows": 2, "validation_rows": 1, "test_rows": 1, "spam_train": 1, "spam_test": 1,
	"duplicates": 0, "groups": 3, "layout": "raw", "drops": map[string]int{},
}

func dataAs[T any](t *testing.T, e event.Event) T {
	t.Helper()
	var data T
	require.NoError(t, e.DataAs(&data))
	return data
}

func TestAnUploadStartsOneRunHoweverOftenItIsAnnounced(t *testing.T) {
	b := bench(t, events.Prepare, plain{})
	e := b.Upload(stagetest.Key, "data", nil)
	for range 5 {
		sent := b.HandleAll(e)
		require.Len(t, sent, 2)
		require.Equal(t, "dev.refit.run.started", sent[0].Type())
		require.Equal(t, "dev.refit.prepare.started", sent[1].Type())
		require.Equal(t, sent[0].Subject(), sent[1].Subject())
		require.Equal(t, e.ID(), events.Extension(sent[0], events.ExtCausationID))
		require.Equal(t, sent[0].ID(), events.Extension(sent[1], events.ExtCausationID))
		require.Equal(t, events.Extension(e, events.ExtTraceparent)[:35], events.Extension(sent[1], events.ExtTraceparent)[:35])
	}
	require.Len(t, b.Launcher.Launched(), 1)
}

func TestASpecSaysAllThatAWorkloadNeeds(t *testing.T) {
	b := bench(t, events.Prepare, plain{})
	b.HandleAll(b.Upload(stagetest.Key, "data", nil))
	job := b.Launcher.Launched()[0]
	require.Equal(t, "s3://refit/runs/"+job.Run+"/prepare/1/spec.json", job.Spec)

	o, err := b.State.Get(t.Context(), job.Spec[len("s3://refit/"):])
	require.NoError(t, err)
	require.NoError(t, events.ValidateJSON("spec", o.Body))
	var spec workload.Spec
	require.NoError(t, json.Unmarshal(o.Body, &spec))
	require.Equal(t, events.Defaults(), spec.Parameters)
	require.Equal(t, "8d777f385d3dfec8815d20f7496026dc", spec.Inputs["entity_data"].ETag)
	require.Equal(t, job.Deadline, spec.Deadline)
}

func TestVerdicts(t *testing.T) {
	for name, tc := range map[string]struct {
		event      func(b *stagetest.Bench) event.Event
		wantType   events.Type
		wantReason string
		wantInText string
	}{
		"a folder marker is filtered": {
			event:    func(b *stagetest.Bench) event.Event { return b.Upload("folder/", "", nil) },
			wantType: events.LandingFiltered, wantReason: "FolderMarker", wantInText: `"folder/"`,
		},
		"another kind of file is filtered": {
			event:    func(b *stagetest.Bench) event.Event { return b.Upload("mail.csv", "x", nil) },
			wantType: events.LandingFiltered, wantReason: "NotParquet", wantInText: `"mail.csv"`,
		},
		"a change of tags is filtered": {
			event: func(b *stagetest.Bench) event.Event {
				e := b.Upload(stagetest.Key, "x", nil)
				e.SetType("com.amazonaws.s3.ObjectCreated:PutTagging")
				return e
			},
			wantType: events.LandingFiltered, wantReason: "NotContent", wantInText: "PutTagging",
		},
		"an object overwritten since has an event of its own": {
			event: func(b *stagetest.Bench) event.Event {
				b.Upload(stagetest.Key, "new", nil)
				return b.Announce(stagetest.Key, "old")
			},
			wantType: events.LandingOverwritten, wantReason: "Overwritten", wantInText: "newer version",
		},
		"a deleted object is told": {
			event:    func(b *stagetest.Bench) event.Event { return b.Announce("gone.parquet", "x") },
			wantType: events.LandingOverwritten, wantReason: "Deleted", wantInText: "upload it again",
		},
		"wrong metadata is refused with what is accepted": {
			event: func(b *stagetest.Bench) event.Event {
				return b.Upload(stagetest.Key, "x", map[string]string{"refit-f1-threshold": "1.5", "refit-treshold": "1", "other": "x"})
			},
			wantType: events.LandingRefused, wantReason: "BadParameter", wantInText: `parameter f1_threshold="1.5": accepted is a number from 0 to 1; unknown parameter "treshold"`,
		},
		"a wrong request is refused": {
			event: func(b *stagetest.Bench) event.Event {
				return b.Request("1", map[string]any{"test_split_ratio": true})
			},
			wantType: events.LandingRefused, wantReason: "BadParameter", wantInText: "test_split_ratio=true: accepted is a number from 0.05 to 0.5",
		},
		"a request for an object that is not there is refused": {
			event:    func(b *stagetest.Bench) event.Event { return b.Request("1", map[string]any{}) },
			wantType: events.LandingRefused, wantReason: "NoSuchObject", wantInText: "upload it first",
		},
		"a request that is no object is refused": {
			event:    func(b *stagetest.Bench) event.Event { return b.Request("1", []int{1}) },
			wantType: events.LandingRefused, wantReason: "BadEvent", wantInText: "the data is [1]: accepted is an object of parameters",
		},
		"a replay of an unknown run is refused": {
			event: func(b *stagetest.Bench) event.Event {
				return b.Request("1", map[string]any{"replay": map[string]any{"run": "r-20261123-060000-ffffffff", "from": "tune"}})
			},
			wantType: events.LandingRefused, wantReason: "UnknownRun", wantInText: "r-20261123-060000-ffffffff",
		},
		"an announcement that is no S3 record is refused": {
			event: func(b *stagetest.Bench) event.Event {
				e := b.Upload(stagetest.Key, "x", nil)
				require.NoError(t, e.SetData(event.ApplicationJSON, map[string]any{}))
				return e
			},
			wantType: events.LandingRefused, wantReason: "BadEvent", wantInText: "may be empty",
		},
		"an event of an unknown run is refused": {
			event: func(b *stagetest.Bench) event.Event {
				e := b.Request("1", map[string]any{})
				e.SetType(string(events.Prepare.Completed()))
				e.SetSubject("nobody")
				return e
			},
			wantType: events.LandingRefused, wantReason: "UnknownRun", wantInText: `"nobody"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := bench(t, events.Prepare, plain{})
			e := tc.event(b)
			b.Handle(e)
			sent := b.Sent.Take()
			require.Len(t, sent, 1)
			require.Equal(t, string(tc.wantType), sent[0].Type())
			landing := dataAs[events.Landing](t, sent[0])
			require.Equal(t, tc.wantReason, landing.Reason)
			require.Contains(t, landing.Message, tc.wantInText)
			require.Equal(t, e.ID(), events.Extension(sent[0], events.ExtCausationID))
			require.Equal(t, tc.wantReason == "BadParameter", landing.Accepted != nil)
			require.Empty(t, b.Launcher.Launched())
		})
	}
}

func TestAnotherAnnouncementOfTheSameVersionIsADuplicate(t *testing.T) {
	b := bench(t, events.Prepare, plain{})
	first := b.Upload(stagetest.Key, "data", nil)
	run := b.HandleAll(first)[0].Subject()
	second := first.Clone()
	second.SetID("other")
	duplicate := b.HandleAll(second)[0]
	require.Len(t, b.Launcher.Launched(), 1)
	require.Equal(t, string(events.LandingDuplicate), duplicate.Type())
	require.Equal(t, run, duplicate.Subject())
}

func TestMetadataAndRequestsSetParameters(t *testing.T) {
	b := bench(t, events.Prepare, plain{})
	b.Handle(b.Upload("mine.parquet", "data", map[string]string{"refit-num-hpo-trials": "3", "refit-f1-threshold": "0.5"}))
	b.Handle(b.Request("1", map[string]any{"entity_data_path": "mine.parquet", "num_hpo_trials": "4", "test_split_ratio": "0.25", "seed": 7}))
	sent := b.Sent.Take()
	uploaded := dataAs[events.Run](t, sent[0]).Parameters
	require.Equal(t, 3, uploaded.NumHPOTrials)
	require.InDelta(t, 0.5, uploaded.F1Threshold, 0)
	require.Equal(t, "mine.parquet", uploaded.EntityDataPath)
	requested := dataAs[events.Run](t, sent[1]).Parameters
	require.Equal(t, 4, requested.NumHPOTrials)
	require.InDelta(t, 0.25, requested.TestSplitRatio, 0)
	require.Equal(t, 7, requested.Seed)
	require.NotEqual(t, sent[0].Subject(), sent[1].Subject())
}

func TestAHandlerThatDiesAnywhereIsCarriedOnWith(t *testing.T) {
	b := bench(t, events.Prepare, plain{})
	e := b.Upload(stagetest.Key, "data", nil)
	for range 2 {
		b.Sent.FailNext(errors.New("killed"))
		_, err := b.Function.Handle(t.Context(), e)
		require.ErrorContains(t, err, "killed")
		b.Handle(e)
		e = b.Sent.Take()[0]
	}
	require.Equal(t, "dev.refit.prepare.started", e.Type())
	require.Len(t, b.Launcher.Launched(), 1)
}

func TestAStageBeginsWhenTheOneBeforeCompleted(t *testing.T) {
	b := bench(t, events.Features, plain{inputs: []string{"train", "test"}})
	run := b.Run(nil)
	b.Handle(b.Completed(run, events.Prepare, prepared, "train", "test", "report"))
	require.Equal(t, []string{"dev.refit.features.started"}, b.Sent.Types())
	require.Equal(t, run.ID+"-features-1", b.Launcher.Launched()[0].Name())
}

func TestAMissingInputFailsTheRun(t *testing.T) {
	b := bench(t, events.Features, plain{inputs: []string{"absent"}})
	run := b.Run(nil)
	b.Handle(b.Completed(run, events.Prepare, prepared, "train"))
	sent := b.Sent.Take()
	require.Equal(t, "dev.refit.features.failed", sent[0].Type())
	require.Equal(t, "MissingArtifact", dataAs[events.Failed](t, sent[0]).Reason)
	require.Empty(t, b.Launcher.Launched())
}

func TestTheEndOfAWorkload(t *testing.T) {
	for name, tc := range map[string]struct {
		end        func(b *stagetest.Bench, run events.Run) event.Event
		logic      plain
		wantType   string
		wantReason string
	}{
		"a good result completes the stage": {
			end: func(b *stagetest.Bench, run events.Run) event.Event {
				return b.Succeed(run, events.Prepare, 1, prepared, "train")
			},
			wantType: "dev.refit.prepare.completed",
		},
		"a result counts even if the process ended badly": {
			end: func(b *stagetest.Bench, run events.Run) event.Event {
				b.Succeed(run, events.Prepare, 1, prepared, "train")
				return b.End(run, events.Prepare, 1, workload.Lost, "PlatformStopped", "")
			},
			wantType: "dev.refit.prepare.completed",
		},
		"a failure that the workload understood is told in its words": {
			end: func(b *stagetest.Bench, run events.Run) event.Event {
				b.Result(workload.Result{
					Run: run.ID, Stage: events.Prepare, Attempt: 1, Outcome: workload.Failed, Figures: events.Figures{}, Artifacts: events.Artifacts{},
					Error: &workload.Error{Reason: "BadInput", Message: "no column label"}, StartedAt: run.CreatedAt, EndedAt: run.CreatedAt,
				})
				return b.End(run, events.Prepare, 1, workload.Failed, "ExitStatus", "exit status 1")
			},
			wantType: "dev.refit.prepare.failed", wantReason: "BadInput",
		},
		"a crash is told with the reason of the end": {
			end: func(b *stagetest.Bench, run events.Run) event.Event {
				return b.End(run, events.Prepare, 1, workload.Failed, "OutOfMemory", "killed")
			},
			wantType: "dev.refit.prepare.failed", wantReason: "OutOfMemory",
		},
		"a deadline fails the run": {
			end: func(b *stagetest.Bench, run events.Run) event.Event {
				return b.End(run, events.Prepare, 1, workload.Deadline, "DeadlineExceeded", "ran for 1h")
			},
			wantType: "dev.refit.prepare.failed", wantReason: "DeadlineExceeded",
		},
		"a success without a result fails the run": {
			end: func(b *stagetest.Bench, run events.Run) event.Event {
				return b.End(run, events.Prepare, 1, workload.Succeeded, "Completed", "")
			},
			wantType: "dev.refit.prepare.failed", wantReason: "NoResult",
		},
		"a result that breaks its schema fails the run": {
			end: func(b *stagetest.Bench, run events.Run) event.Event {
				return b.Succeed(run, events.Prepare, 1, events.Figures{"rows": "many"})
			},
			wantType: "dev.refit.prepare.failed", wantReason: "BadResult",
		},
		"a cancelled workload cancels the run": {
			end: func(b *stagetest.Bench, run events.Run) event.Event {
				return b.End(run, events.Prepare, 1, workload.Cancelled, "Cancelled", "")
			},
			wantType: "dev.refit.prepare.cancelled", wantReason: "Cancelled",
		},
		"logic may fail the run": {
			end: func(b *stagetest.Bench, run events.Run) event.Event {
				return b.Succeed(run, events.Prepare, 1, prepared, "train")
			},
			logic: plain{err: stage.Failf("Odd", "this is odd")}, wantType: "dev.refit.prepare.failed", wantReason: "Odd",
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := bench(t, events.Prepare, tc.logic)
			run := b.Run(nil)
			end := tc.end(b, run)
			b.Handle(end)
			first := b.Sent.Take()
			require.Len(t, first, 1)
			require.Equal(t, tc.wantType, first[0].Type())
			require.Equal(t, tc.wantReason, dataAs[events.Failed](t, first[0]).Reason)
			_, err := b.State.Head(t.Context(), "runs/"+run.ID+"/mark")
			require.Equal(t, tc.wantReason != "", err == nil, "only a terminal event marks the run")

			b.Handle(end)
			require.Equal(t, first[0].ID(), b.Sent.Take()[0].ID(), "a redelivery says the same again")
			require.Empty(t, b.Launcher.Launched(), "and launches nothing")
		})
	}
}

func TestALostWorkloadIsLaunchedAgainButNotForEver(t *testing.T) {
	b := bench(t, events.Prepare, plain{})
	run := b.Run(nil)
	for attempt := 1; attempt < 3; attempt++ {
		b.Handle(b.End(run, events.Prepare, attempt, workload.Lost, "PlatformStopped", ""))
		require.Equal(t, []string{"dev.refit.prepare.started"}, b.Sent.Types())
	}
	require.Len(t, b.Launcher.Launched(), 2)
	b.Handle(b.End(run, events.Prepare, 3, workload.Lost, "PlatformStopped", ""))
	failed := b.Sent.Take()[0]
	require.Equal(t, "TooManyAttempts", dataAs[events.Failed](t, failed).Reason)
}

func TestAnAttemptThatWasThoughtLostStillCounts(t *testing.T) {
	b := bench(t, events.Prepare, plain{})
	run := b.Run(nil)
	b.Handle(b.End(run, events.Prepare, 1, workload.Lost, "PlatformStopped", ""))
	b.Handle(b.Succeed(run, events.Prepare, 1, prepared, "train"))
	b.Handle(b.Succeed(run, events.Prepare, 2, prepared, "train"))
	sent := b.Sent.Take()
	require.Len(t, sent, 3)
	require.Equal(t, sent[1].ID(), sent[2].ID(), "the first mark wins")
	require.Equal(t, 1, dataAs[events.Completed](t, sent[2]).Attempt)
}

func TestAnEndThatIsNoneIsRefused(t *testing.T) {
	b := bench(t, events.Prepare, plain{})
	e := b.Request("1", map[string]any{"run": 1})
	e.SetType(string(events.WorkloadEnded))
	b.Handle(e)
	require.Equal(t, "BadEvent", dataAs[events.Landing](t, b.Sent.Take()[0]).Reason)
}

func TestAFunctionIsNotReadyBeforeItStarts(t *testing.T) {
	f := stage.New(events.Prepare, plain{})
	ready, err := f.Ready(t.Context())
	require.NoError(t, err)
	require.False(t, ready)
	require.ErrorContains(t, f.Start(t.Context(), map[string]string{"K_SINK": "http://127.0.0.1:1"}), "REFIT_S3_ENDPOINT")
	b := stagetest.New(t, f, nil)
	ready, err = b.Function.Ready(t.Context())
	require.NoError(t, err)
	require.True(t, ready)
}
