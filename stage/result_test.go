package stage_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/test"
	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/events/eventstest"
	"refit.dev/stage"
	"refit.dev/stage/stagetest"
	"refit.dev/workload"
)

func TestFiguresAreReadIntoAStruct(t *testing.T) {
	var figures struct {
		Kept int `json:"kept"`
	}
	require.NoError(t, stage.Figures(workload.Result{Figures: prepared}, &figures))
	require.Equal(t, 3, figures.Kept)
	var failed *stage.FailedError
	err := stage.Figures(workload.Result{Stage: events.Prepare, Figures: events.Figures{"kept": "many"}}, &figures)
	require.ErrorAs(t, err, &failed)
	require.Equal(t, "BadResult", failed.Reason)
}

func TestARequiredArtifactThatIsMissingIsNamed(t *testing.T) {
	result := workload.Result{Stage: events.Features, Artifacts: stagetest.Artifacts("tfidf")}
	require.NoError(t, stage.Require(result, "tfidf"))
	require.EqualError(t, stage.Require(result, "tfidf", "senders"), `BadResult: the workload of features made no artifact "senders"`)
}

// curious wants an input if it is there, and what FailNext of its error says.
type curious struct{ err error }

func (curious) Plan(_ context.Context, run *stage.Run) (events.Artifacts, error) {
	inputs, err := run.Inputs("train")
	if err == nil {
		run.Optional(inputs, "test_raw", "absent")
	}
	return inputs, err
}

func (c curious) Complete(_ context.Context, run *stage.Run, result workload.Result) (stage.Decision, error) {
	return stage.Completed(run, result), c.err
}

func TestAnOptionalInputIsTakenIfItIsThere(t *testing.T) {
	b := stagetest.New(t, stage.New(events.Features, curious{}), nil)
	run := b.Run(nil)
	b.Handle(b.Completed(run, events.Prepare, prepared, "train", "test_raw"))
	require.Equal(t, []string{"test_raw", "train"}, b.InputNames())
}

func TestLogicMayAskForAnotherAttempt(t *testing.T) {
	b := stagetest.New(t, stage.New(events.Prepare, curious{err: &stage.RetryError{Reason: "the champion changed"}}), nil)
	run := b.Run(nil)
	b.Handle(b.Succeed(run, events.Prepare, 3, prepared))
	failed := b.Sent.Take()[0]
	require.Equal(t, "TooManyAttempts", eventstest.DataAs[events.Failed](t, failed).Reason)
	require.Contains(t, eventstest.DataAs[events.Failed](t, failed).Message, "the champion changed")
	require.EqualError(t, &stage.RetryError{Reason: "r"}, "another attempt is needed: r")
}

func TestAWorkloadThatFoundAServiceAwayIsLaunchedAgain(t *testing.T) {
	for _, reason := range []string{"StoreUnavailable", "RayUnavailable", "MLflowUnavailable"} {
		b := bench(t, events.Prepare, plain{})
		run := b.Run(nil)
		failing := func(attempt int) event.Event {
			b.Result(workload.Result{
				Run: run.ID, Stage: events.Prepare, Attempt: attempt, Outcome: workload.Failed,
				Figures: events.Figures{}, Artifacts: events.Artifacts{}, StartedAt: time.Unix(0, 0), EndedAt: time.Unix(1, 0),
				Error: &workload.Error{Reason: reason, Message: "it did not answer in 2 minutes"},
			})
			return b.End(run, events.Prepare, attempt, workload.Failed, "ExitStatus", "")
		}
		b.Handle(failing(1))
		started := b.Sent.Take()[0]
		require.Equal(t, string(events.Prepare.Started()), started.Type())
		require.Equal(t, 2, eventstest.DataAs[events.Started](t, started).Attempt)
		b.Handle(failing(3))
		failed := eventstest.DataAs[events.Failed](t, b.Sent.Take()[0])
		require.Equal(t, "TooManyAttempts", failed.Reason)
		require.Contains(t, failed.Message, "it did not answer in 2 minutes")
	}
}

func TestWhatCannotBeDoneNowIsAskedForAgain(t *testing.T) {
	t.Run("logic that failed", func(t *testing.T) {
		b := stagetest.New(t, stage.New(events.Prepare, curious{err: errors.New("registry is down")}), nil)
		run := b.Run(nil)
		_, err := b.Function.Handle(t.Context(), b.Succeed(run, events.Prepare, 1, prepared))
		require.ErrorContains(t, err, "registry is down")
		require.Empty(t, b.Sent.Take())
	})
	t.Run("a launcher that failed", func(t *testing.T) {
		b := bench(t, events.Prepare, plain{})
		b.Handle(b.Upload(stagetest.Key, "data", nil))
		started := b.Sent.Take()[0]
		b.Launcher.Refuse(errors.New("launcher is down"))
		_, err := b.Function.Handle(t.Context(), started)
		require.ErrorContains(t, err, "launcher is down")
		b.Launcher.Refuse(nil)
		b.Handle(started)
		test.AssertEvent(t, b.Sent.Take()[0],
			eventstest.Is(events.Prepare.Started()), eventstest.InRun(started.Subject()), eventstest.CausedBy(started))
	})
}

func TestAJobThatCanNeverBeLaunchedFailsItsRun(t *testing.T) {
	b := bench(t, events.Prepare, plain{})
	b.Handle(b.Upload(stagetest.Key, "data", nil))
	started := b.Sent.Take()[0]
	b.Launcher.Refuse(fmt.Errorf("%w: spec.trainer.image is wrong", workload.ErrInvalid))
	b.Handle(started)
	failed := b.Sent.Take()[0]
	test.AssertEvent(t, failed, eventstest.Is(events.Prepare.Failed()), eventstest.InRun(started.Subject()), eventstest.CausedBy(started))
	why := dataAs[events.Failed](t, failed)
	require.Equal(t, "LaunchRefused", why.Reason)
	require.Contains(t, why.Message, "spec.trainer.image is wrong: mend the template, then replay the run from prepare")
}

func TestALaunchThatFailsUntilItsDeadlineFailsItsRun(t *testing.T) {
	b := bench(t, events.Prepare, plain{})
	b.Handle(b.Upload(stagetest.Key, "data", nil))
	started := b.Sent.Take()[0]
	b.Launcher.Refuse(fmt.Errorf("%w: exceeded quota: gpus", workload.ErrRefused))
	_, err := b.Function.Handle(t.Context(), started)
	require.ErrorContains(t, err, "exceeded quota", "it may be allowed later")
	b.Wait(time.Hour)
	_, err = b.Function.Handle(t.Context(), started)
	require.ErrorContains(t, err, "exceeded quota", "the deadline is not over")
	b.Wait(time.Second)
	b.Launcher.Refuse(errors.New("launcher is down"))
	_, err = b.Function.Handle(t.Context(), started)
	require.ErrorContains(t, err, "launcher is down", "nobody knows whether it was launched")
	b.Launcher.Refuse(fmt.Errorf("%w: exceeded quota: gpus", workload.ErrRefused))
	b.Handle(started)
	failed := b.Sent.Take()[0]
	test.AssertEvent(t, failed, eventstest.Is(events.Prepare.Failed()), eventstest.InRun(started.Subject()), eventstest.CausedBy(started))
	why := dataAs[events.Failed](t, failed)
	require.Equal(t, "LaunchFailed", why.Reason)
	require.Contains(t, why.Message, "not launched by its deadline, 2026-11-23T07:00:00Z: job is refused: exceeded quota: gpus: mend that, then replay the run from prepare")
	b.Launcher.Refuse(nil)
	b.Handle(started)
	require.Empty(t, b.Launcher.Launched(), "a stage that has failed is not launched later")
}

func TestAKeyThatNoLogLineBearsIsRefusedForGood(t *testing.T) {
	b := bench(t, events.Prepare, plain{})
	e := b.Upload("a\nb.parquet", "data", nil)
	for range 2 {
		b.Handle(e)
		refused := b.Sent.Take()[0]
		test.AssertEvent(t, refused, eventstest.Is(events.LandingRefused), eventstest.CausedBy(e))
		require.Contains(t, eventstest.DataAs[events.Landing](t, refused).Message, `entity_data_path="a\nb.parquet": accepted is`)
	}
	kept, err := b.State.List(t.Context(), "refusals/")
	require.NoError(t, err)
	require.Len(t, kept, 1, "the sweep finds that it was seen to")
}

func TestTheEndOfAWorkloadOfNobody(t *testing.T) {
	b := bench(t, events.Prepare, plain{})
	run := b.Run(nil)
	end := b.End(run, events.Prepare, 1, workload.Succeeded, "Completed", "")
	b.State.Remove("runs/" + run.ID + "/run.json")
	b.Handle(end)
	require.Equal(t, "UnknownRun", eventstest.DataAs[events.Landing](t, b.Sent.Take()[0]).Reason)
}

func TestAResultThatIsNoneFailsTheRun(t *testing.T) {
	b := bench(t, events.Prepare, plain{})
	run := b.Run(nil)
	require.NoError(t, b.State.Put(t.Context(), "runs/"+run.ID+"/prepare/1/result.json", []byte("half a res")))
	b.Handle(b.End(run, events.Prepare, 1, workload.Failed, "Signal", "killed"))
	require.Equal(t, "BadResult", eventstest.DataAs[events.Failed](t, b.Sent.Take()[0]).Reason)
}

// refusing is a Logic that cannot start.
type refusing struct{ plain }

func (refusing) Start(context.Context, stage.Platform) error { return errors.New("no registry") }

func TestAFunctionStartsWithItsLogic(t *testing.T) {
	f := stage.New(events.Register, refusing{})
	require.EqualError(t, f.StartOn(t.Context(), stage.Platform{}), "start function register: no registry")
	_, err := stage.New(events.Prepare, plain{}).Handle(t.Context(), event.New())
	require.ErrorContains(t, err, "not started")
}

func TestAWrongResultIsToldWithTheLastLinesOfTheLog(t *testing.T) {
	for name, result := range map[string]string{"BadResult": "half a res", "NoResult": ""} {
		t.Run(name, func(t *testing.T) {
			b := bench(t, events.Prepare, plain{})
			run := b.Run(nil)
			var log strings.Builder
			for line := range 2000 {
				fmt.Fprintf(&log, "line %d\n", line)
			}
			folder := "runs/" + run.ID + "/prepare/1/"
			require.NoError(t, b.State.Put(t.Context(), folder+"log.txt", []byte(log.String()+"half a \xff\x00 line")))
			if result != "" {
				require.NoError(t, b.State.Put(t.Context(), folder+"result.json", []byte(result)))
			}
			b.Handle(b.End(run, events.Prepare, 1, workload.Succeeded, "Completed", ""))
			failed := eventstest.DataAs[events.Failed](t, b.Sent.Take()[0])
			require.Equal(t, name, failed.Reason)
			_, lines, found := strings.Cut(failed.Message, "; the log ends with:\n")
			require.True(t, found, failed.Message)
			require.True(t, strings.HasPrefix(lines, "line 1981\n"), lines)
			require.True(t, strings.HasSuffix(lines, "line 1999\nhalf a � line"), lines)
		})
	}
}
