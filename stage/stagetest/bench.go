// Package stagetest puts a function on a bench: a store in memory, a launcher
// that only writes down, and a recorder in place of the broker.
package stagetest

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/stage"
	"refit.dev/stage/store"
	"refit.dev/workload"
	"refit.dev/workload/workloadtest"
)

// Key is the object that Upload writes by default.
const Key = "datasets/processed/emails/all_emails.parquet"

// T is what a bench needs of a test.
type T interface {
	require.TestingT
	Helper()
	Context() context.Context
}

// Example is the T of an example, which has no test: it panics.
type Example struct{}

// Errorf panics with the message.
func (Example) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// FailNow panics.
func (Example) FailNow() { panic("failed") }

// Helper does nothing.
func (Example) Helper() {}

// Context is never done.
func (Example) Context() context.Context { return context.Background() }

// Bench is a function and what surrounds it.
type Bench struct {
	State, Landing *store.Memory
	Launcher       *workloadtest.Fake
	Sent           *Recorder
	Function       *stage.Function

	t   T
	now time.Time
}

// New puts f on a bench. env are further settings of f.
func New(t T, f *stage.Function, env map[string]string) *Bench {
	t.Helper()
	b := &Bench{
		State: new(store.Memory), Landing: new(store.Memory), Launcher: workloadtest.NewFake(), Sent: new(Recorder),
		Function: f, t: t, now: time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC),
	}
	require.NoError(t, f.StartOn(t.Context(), b.Platform(env)))
	return b
}

// Platform is what the function on the bench finds around it.
func (b *Bench) Platform(env map[string]string) stage.Platform {
	return stage.Platform{
		State: b.State, Landing: b.Landing, StateName: "refit", LandingName: "landing",
		Launcher: b.Launcher, Emitter: b.Sent, Env: env, Commit: "0123456",
		Clock: func() time.Time { return b.now }, Logger: slog.New(slog.DiscardHandler),
	}
}

// Wait lets time go by for the function.
func (b *Bench) Wait(d time.Duration) { b.now = b.now.Add(d) }

// Handle gives the function an event, which it must handle.
func (b *Bench) Handle(e event.Event) {
	b.t.Helper()
	reply, err := b.Function.Handle(b.t.Context(), e)
	require.NoError(b.t, err)
	require.Nil(b.t, reply)
}

// HandleAll gives the function an event and, as the broker does, the run's start
// if that is what the function says to it. It returns all that was said.
func (b *Bench) HandleAll(e event.Event) []event.Event {
	b.t.Helper()
	b.Handle(e)
	said := b.Sent.Take()
	for _, started := range said {
		if started.Type() == string(events.RunStarted) {
			b.Handle(started)
		}
	}
	return append(said, b.Sent.Take()...)
}

// Upload writes an object and returns the event that announces it.
func (b *Bench) Upload(key string, body string, metadata map[string]string) event.Event {
	b.t.Helper()
	b.Landing.Upload(key, []byte(body), metadata)
	info, err := b.Landing.Head(b.t.Context(), key)
	require.NoError(b.t, err)
	return b.Announce(key, info.ETag)
}

// Announce is the event of a new object.
func (b *Bench) Announce(key, etag string) event.Event {
	b.t.Helper()
	list, err := events.FromNotification(fmt.Appendf(nil, `{"Records":[{"eventSource":"aws:s3","awsRegion":"us-east-1",
		"eventTime":"2026-11-23T06:00:00Z","eventName":"ObjectCreated:Put",
		"s3":{"bucket":{"name":"landing"},"object":{"key":%q,"size":1,"eTag":%q,"sequencer":"01"}}}]}`, url.QueryEscape(key), etag))
	require.NoError(b.t, err)
	return list[0]
}

// Request is an injected event that asks for a run.
func (b *Bench) Request(id string, data any) event.Event {
	b.t.Helper()
	e := event.New()
	e.SetType(string(events.RunRequested))
	e.SetSource("/test")
	e.SetID(id)
	require.NoError(b.t, e.SetData(event.ApplicationJSON, data))
	return e
}

// Run writes a run as if prepare had claimed it, with the given parameters set.
func (b *Bench) Run(values map[string]any) events.Run {
	b.t.Helper()
	p, err := events.Defaults().With(values)
	require.NoError(b.t, err)
	run := events.Run{
		ID: "r-20261123-060000-0a1b2c3d", Parameters: p, Commit: "0123456", CreatedAt: b.now,
		Data:        events.Data{Artifact: events.Artifact{URI: "s3://landing/" + Key, Bytes: 1, ETag: "e"}, LandedAt: b.now},
		Cause:       events.Cause{Type: "t", Source: "s", ID: "i"},
		Traceparent: events.Traceparent("", "r", "r"),
	}
	b.put("runs/"+run.ID+"/run.json", run)
	return run
}

// Completed writes the mark of a stage that is done and returns its event.
func (b *Bench) Completed(run events.Run, s events.Stage, figures events.Figures, artifacts ...string) event.Event {
	b.t.Helper()
	e, err := events.Envelope{
		Type: s.Completed(), Source: events.FunctionSource(s), Run: run.ID, Stage: s, Key: "1", Time: b.now,
	}.Event(events.Completed{Run: run.ID, Stage: s, Attempt: 1, Figures: orNone(figures), Artifacts: Artifacts(artifacts...)})
	require.NoError(b.t, err)
	b.put("runs/"+run.ID+"/"+string(s)+"/mark", e)
	return e
}

func orNone(figures events.Figures) events.Figures {
	if figures == nil {
		return events.Figures{}
	}
	return figures
}

// Artifacts are artifacts of the given names, for which there is no content.
func Artifacts(names ...string) events.Artifacts {
	list := events.Artifacts{}
	for _, name := range names {
		list[name] = events.Artifact{URI: "s3://refit/" + name, Digest: fmt.Sprintf("sha256:%064x", len(name)), Bytes: 1}
	}
	return list
}

// Succeed writes a result for an attempt and returns the event of its end.
func (b *Bench) Succeed(run events.Run, s events.Stage, attempt int, figures events.Figures, artifacts ...string) event.Event {
	b.t.Helper()
	b.Result(workload.Result{
		Run: run.ID, Stage: s, Attempt: attempt, Outcome: workload.Succeeded, Figures: figures, Artifacts: Artifacts(artifacts...),
		StartedAt: b.now, EndedAt: b.now.Add(2 * time.Second),
	})
	return b.End(run, s, attempt, workload.Succeeded, "Completed", "")
}

// Figures reads figures from a file of testdata and changes some of them.
func (b *Bench) Figures(file string, change events.Figures) events.Figures {
	b.t.Helper()
	body, err := os.ReadFile(file)
	require.NoError(b.t, err)
	var figures events.Figures
	require.NoError(b.t, json.Unmarshal(body, &figures))
	maps.Copy(figures, change)
	return figures
}

// InputNames lists the inputs in the spec of the workload launched last.
func (b *Bench) InputNames() []string {
	b.t.Helper()
	var spec workload.Spec
	o, err := b.State.Get(b.t.Context(), strings.TrimPrefix(b.launched().Spec, "s3://refit/"))
	require.NoError(b.t, err)
	require.NoError(b.t, json.Unmarshal(o.Body, &spec))
	return slices.Sorted(maps.Keys(spec.Inputs))
}

// LaunchedRun is the run of the workload launched last.
func (b *Bench) LaunchedRun() events.Run {
	b.t.Helper()
	var run events.Run
	o, err := b.State.Get(b.t.Context(), "runs/"+b.launched().Run+"/run.json")
	require.NoError(b.t, err)
	require.NoError(b.t, json.Unmarshal(o.Body, &run))
	return run
}

func (b *Bench) launched() workload.Job {
	jobs := b.Launcher.Launched()
	require.NotEmpty(b.t, jobs)
	return jobs[len(jobs)-1]
}

// Result writes result.json.
func (b *Bench) Result(r workload.Result) {
	b.t.Helper()
	b.put(fmt.Sprintf("runs/%s/%s/%d/result.json", r.Run, r.Stage, r.Attempt), r)
}

// End is the event of a workload's end.
func (b *Bench) End(run events.Run, s events.Stage, attempt int, outcome workload.Outcome, reason, message string) event.Event {
	b.t.Helper()
	job := workload.Job{Run: run.ID, Stage: s, Attempt: attempt}
	e, err := events.Envelope{
		Type: events.WorkloadEnded, Source: events.SourceSource, Run: run.ID, Stage: s, Outcome: outcome,
		Key: job.Name() + string(outcome), Time: b.now,
	}.Event(workload.End{
		Run: run.ID, Stage: s, Attempt: attempt, Workload: job.Name(), UID: "u", Outcome: outcome, Reason: reason, Message: message,
		StartedAt: b.now, EndedAt: b.now,
	})
	require.NoError(b.t, err)
	return e
}

func (b *Bench) put(key string, value any) {
	b.t.Helper()
	body, err := json.Marshal(value)
	require.NoError(b.t, err)
	require.NoError(b.t, b.State.Put(b.t.Context(), key, body))
}
