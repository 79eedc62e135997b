package source_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/platform/source"
	"refit.dev/stage"
	"refit.dev/stage/stagetest"
	"refit.dev/stage/store"
	"refit.dev/workload"
)

// bundle is a source that looks at the stores of a bench, whose function is
// that of prepare, and tells a recorder. Stores write the true time; the clock
// of the source is ahead of it by as much as a test says.
type bundle struct {
	*stagetest.Bench
	source    *source.Source
	workloads map[string]source.Workload
	sent      *stagetest.Recorder

	ahead time.Duration
}

// logic is a stage without demands.
type logic struct{}

func (logic) Plan(_ context.Context, run *stage.Run) (events.Artifacts, error) {
	return events.Artifacts{"entity_data": run.Data.Artifact}, nil
}

func (logic) Complete(_ context.Context, run *stage.Run, result workload.Result) (stage.Decision, error) {
	return stage.Completed(run, result), nil
}

const (
	every = time.Minute
	grace = every / 4
)

func setup(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{
		Bench: stagetest.New(t, stage.New(events.Prepare, logic{}), nil), sent: new(stagetest.Recorder),
		workloads: map[string]source.Workload{},
	}
	b.source = source.New(b.config(b.Landing))
	return b
}

func (b *bundle) config(landing store.Bucket) source.Config {
	return source.Config{
		State: b.State, Landing: landing, LandingName: "landing", Region: "us-east-1", Send: b.sent.Emit,
		Workloads: func(context.Context) (map[string]source.Workload, error) { return b.workloads, nil },
		Every:     every, Grace: grace, Clock: func() time.Time { return time.Now().Add(b.ahead) },
		Logger: slog.New(slog.DiscardHandler),
	}
}

// after sweeps when time has gone by, and returns what was sent.
func (b *bundle) after(t *testing.T, d time.Duration) []event.Event {
	t.Helper()
	b.ahead += d
	require.NoError(t, b.source.Sweep(t.Context()))
	return b.sent.Take()
}

// only sweeps after every, and returns the one event that was sent.
func (b *bundle) only(t *testing.T) event.Event {
	t.Helper()
	sent := b.after(t, every)
	require.Len(t, sent, 1)
	return sent[0]
}

// put writes value below the run's prefix.
func (b *bundle) put(t *testing.T, run events.Run, key string, value any) {
	t.Helper()
	body, err := json.Marshal(value)
	require.NoError(t, err)
	require.NoError(t, b.State.Put(t.Context(), "runs/"+run.ID+"/"+key, body))
}

// failed writes the mark of a stage that failed, and returns its event.
func (b *bundle) failed(t *testing.T, run events.Run, s events.Stage) event.Event {
	t.Helper()
	e, err := events.Envelope{
		Type: s.Failed(), Source: events.FunctionSource(s), Run: run.ID, Stage: s, Key: "1", Time: time.Now(),
	}.Event(events.Failed{Run: run.ID, Stage: s, Attempt: 1, Reason: "BadInput", Message: "m"})
	require.NoError(t, err)
	b.put(t, run, string(s)+"/mark", e)
	return e
}

// done writes the marks of all stages before s.
func (b *bundle) done(run events.Run, s events.Stage) (last event.Event) {
	for _, before := range s.Before() {
		last = b.Completed(run, before, nil)
	}
	return last
}

func (b *bundle) job(run events.Run, s events.Stage, attempt int) workload.Job {
	return workload.Job{Run: run.ID, Stage: s, Attempt: attempt}
}

func (b *bundle) ended(run events.Run, s events.Stage, attempt int) *workload.End {
	now := time.Now()
	return &workload.End{
		Run: run.ID, Stage: s, Attempt: attempt, Workload: b.job(run, s, attempt).Name(), UID: "u", Outcome: workload.Succeeded,
		Reason: "Completed", StartedAt: now, EndedAt: now,
	}
}

// requireSentAgain checks that got is want with the fresh id of a sweep.
func requireSentAgain(t *testing.T, want, got event.Event) {
	t.Helper()
	require.Regexp(t, `:sweep-\d+$`, got.ID())
	require.Equal(t, want.ID(), got.ID()[:strings.LastIndex(got.ID(), ":sweep-")])
	got = got.Clone()
	got.SetID(want.ID())
	want, got = throughJSON(t, want), throughJSON(t, got)
	require.Equal(t, want, got)
}

// throughJSON is e as a reader of the store or the stream sees it.
func throughJSON(t *testing.T, e event.Event) event.Event {
	t.Helper()
	body, err := json.Marshal(e)
	require.NoError(t, err)
	var read event.Event
	require.NoError(t, json.Unmarshal(body, &read))
	return read
}

var errDown = errors.New("broker is down")
