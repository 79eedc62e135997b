package journal_test

import (
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/platform/bus"
	"refit.dev/platform/journal"
)

const (
	runA = "r-20261123-060000-0a1b2c3d"
	runB = "r-20261123-070000-4e5f6a7b"
)

func startBus(t *testing.T, dir string) *bus.Bus {
	t.Helper()
	b, err := bus.Start(t.Context(), bus.Config{Dir: dir, Token: "test"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func open(t *testing.T, b *bus.Bus) *journal.Journal {
	t.Helper()
	j, err := journal.Open(t.Context(), b.JetStream())
	require.NoError(t, err)
	return j
}

// at is a moment of the run, seconds after its start.
func at(seconds int) time.Time {
	return time.Date(2026, 11, 23, 6, 0, seconds, 0, time.UTC)
}

// say makes an event of a run with a time of its own.
func say(t *testing.T, v events.Envelope, data any) event.Event {
	t.Helper()
	if v.Source == "" {
		v.Source = events.FunctionSource(v.Stage)
	}
	e, err := v.Event(data)
	require.NoError(t, err)
	return e
}

func started(t *testing.T, run string, s events.Stage, attempt, second int) event.Event {
	t.Helper()
	key := string(rune('0' + attempt))
	return say(t, events.Envelope{Type: s.Started(), Run: run, Stage: s, Key: key, Time: at(second)}, events.Started{
		Run: run, Stage: s, Attempt: attempt, Workload: run + "-" + string(s) + "-" + key, Spec: "s3://refit/runs/" + run + "/" + string(s) + "/" + key + "/spec.json", Deadline: at(3600),
	})
}

func completed(t *testing.T, run string, s events.Stage, attempt, second int, figures events.Figures) event.Event {
	t.Helper()
	return say(t, events.Envelope{Type: s.Completed(), Run: run, Stage: s, Key: string(rune('0' + attempt)), Time: at(second)}, events.Completed{
		Run: run, Stage: s, Attempt: attempt, Figures: figures, Artifacts: events.Artifacts{}, Seconds: 2.5,
	})
}

func ended(t *testing.T, run string, s events.Stage, attempt, from, to int, outcome events.Outcome) event.Event {
	t.Helper()
	name := run + "-" + string(s) + "-" + string(rune('0'+attempt))
	return say(t, events.Envelope{Type: events.WorkloadEnded, Source: events.SourceSource, Run: run, Stage: s, Key: name, Outcome: outcome, Time: at(to)}, events.End{
		Run: run, Stage: s, Attempt: attempt, Workload: name, UID: "u", Outcome: outcome, Reason: "Completed",
		Log: "s3://refit/runs/" + run + "/log.txt", StartedAt: at(from), EndedAt: at(to),
	})
}

func runStarted(t *testing.T, run string, replay *events.Replay) event.Event {
	t.Helper()
	return say(t, events.Envelope{Type: events.RunStarted, Run: run, Stage: events.Prepare, Time: at(1)}, events.Run{
		ID: run, Parameters: events.Defaults(), Replay: replay, CreatedAt: at(0), Traceparent: events.Traceparent("", run, run),
		Data:  events.Data{Artifact: events.Artifact{URI: "s3://landing/mail.parquet", Bytes: 10, ETag: "e1"}, LandedAt: at(0)},
		Cause: events.Cause{Type: string(events.RunRequested), Source: events.CLISource, ID: "1"},
	})
}

func decided(t *testing.T, run string, kind events.Type, second int) event.Event {
	t.Helper()
	m := events.Model{
		Run: run, Attempt: 1, Name: "spam-detector", F1: 0.97, Threshold: 0.85, Reason: "F1 0.9700 reaches 0.85",
		Figures: events.Figures{"f1": 0.97}, Link: "http://127.0.0.1:5000/",
	}
	if kind == events.ModelRegistered {
		m.Version, m.Alias, m.AliasReason = "3", "champion", "there was no champion"
	}
	return say(t, events.Envelope{Type: kind, Run: run, Stage: events.Register, Key: "1", Time: at(second)}, m)
}
