package cli_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"refit.dev/cli"
	"refit.dev/events"
	"refit.dev/stage/store"
)

// upload makes a parquet file and the bench's canned events into those of a run
// that its upload starts.
func upload(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "mail.parquet")
	require.NoError(t, os.WriteFile(name, []byte("PAR1"), 0o600))
	return name
}

// key is where a file named mail.parquet goes.
const key = "datasets/processed/emails/mail.parquet"

// landed is the object store's own event about an upload.
func landed(t *testing.T, id, etag string) event.Event {
	t.Helper()
	e := event.New()
	e.SetID(id)
	e.SetType(events.ObjectCreatedPrefix + "Put")
	e.SetSource(uploadCause.Source)
	e.SetSubject(key)
	e.SetTime(at(0))
	record := `{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"landing"},"object":{"key":"` + key + `","eTag":"` + etag + `"}}}`
	require.NoError(t, e.SetData(event.ApplicationJSON, json.RawMessage(record)))
	return e
}

func verdict(t *testing.T, kind events.Type, cause string, l events.Landing) event.Event {
	t.Helper()
	return say(t, events.Envelope{Type: kind, Run: l.Run, Stage: events.Prepare, Key: cause, Cause: cause}, 1, l)
}

func TestRunFollowsTheRunOfItsUpload(t *testing.T) {
	duplicate := func(t *testing.T) []event.Event {
		return append(wholeRun(t), landed(t, "mine", etag(t)), verdict(t, events.LandingDuplicate, "mine", events.Landing{Run: runA, Reason: "Duplicate", Message: "has a run"}))
	}
	tests := map[string]struct {
		events   func(*testing.T) []event.Event
		args     []string
		wantCode int
	}{
		"follow-plain": {duplicate, nil, cli.CodeOK},
		"follow-json":  {duplicate, []string{"--json"}, cli.CodeOK},
		"follow-rejected": {func(t *testing.T) []event.Event {
			list := duplicate(t)
			list[12] = decided(t, runA, events.ModelRejected, 222)
			return list
		}, nil, cli.CodeRejected},
		"follow-failed": {func(t *testing.T) []event.Event {
			list := duplicate(t)
			return append(list[:4:4], append(list[13:], failed(t, runA, events.Features, events.Features.Failed(), 20))...)
		}, nil, cli.CodeFailed},
		"follow-cancelled": {func(t *testing.T) []event.Event {
			list := duplicate(t)
			return append(list[:4:4], append(list[13:], failed(t, runA, events.Features, events.Features.Cancelled(), 20))...)
		}, nil, cli.CodeCancelled},
		"follow-refused": {func(t *testing.T) []event.Event {
			return []event.Event{
				verdict(t, events.LandingRefused, "mine", events.Landing{
					URI: "s3://landing/" + key, Reason: "BadParameter", Message: "parameter seed=\"x\": accepted is a number", Accepted: []events.Definition{{Name: "seed", Default: 42, Accepts: "a whole number", Stage: events.Prepare}},
				}),
				landed(t, "other", "another"), verdict(t, events.LandingDuplicate, "other", events.Landing{Run: runB, Reason: "Duplicate", Message: "of another"}),
				landed(t, "mine", etag(t)),
			}
		}, nil, cli.CodeRefused},
		"follow-detach": {duplicate, []string{"--detach"}, cli.CodeOK},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := setup(t, test.events(t)...)
			file := upload(t)
			require.Equal(t, test.wantCode, b.run(t, append([]string{"run", file}, test.args...)...), b.err.String())
			golden(t, name, "--- stderr\n"+strings.ReplaceAll(b.err.String(), file, "mail.parquet")+"--- stdout\n"+b.out.String())
		})
	}
}

// etag is what the memory store gives to the uploaded bytes.
func etag(t *testing.T) string {
	t.Helper()
	m := &store.Memory{}
	m.Upload("a", []byte("PAR1"), nil)
	info, err := m.Head(t.Context(), "a")
	require.NoError(t, err)
	return info.ETag
}

func TestRunSendsParametersAsMetadata(t *testing.T) {
	b := setup(t, append(wholeRun(t), landed(t, "mine", etag(t)), verdict(t, events.LandingDuplicate, "mine", events.Landing{Run: runA, Reason: "Duplicate", Message: "m"}))...)
	require.Equal(t, cli.CodeOK, b.run(t, "run", upload(t), "--set", "num_hpo_trials=5", "--set", "f1_threshold=0.9", "--detach"))
	info, err := b.landing.Head(t.Context(), key)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"refit-num-hpo-trials": "5", "refit-f1-threshold": "0.9"}, info.Metadata)
}

func TestRunFindsItsRunByTheObject(t *testing.T) {
	b := setup(t)
	b.journal.added = make(chan event.Event)
	done := make(chan int)
	file := upload(t)
	go func() { done <- b.run(t, "run", file, "--detach", "--key", key) }()
	// The run is known only once the upload is there.
	first := landed(t, "s3:1", etag(t))
	b.journal.added <- first
	info, err := b.landing.Head(t.Context(), key)
	require.NoError(t, err)
	data := events.Data{Artifact: events.Artifact{URI: "s3://landing/" + key, ETag: info.ETag}, LandedAt: info.LastModified}
	for _, r := range []struct {
		id   string
		data events.Data
	}{
		{runB, events.Data{Artifact: data.Artifact, LandedAt: info.LastModified.Add(-time.Hour)}}, {runA, data},
	} {
		b.journal.added <- say(t, events.Envelope{Type: events.RunStarted, Run: r.id, Stage: events.Prepare}, 1, events.Run{
			ID: r.id, Parameters: events.Defaults(), Cause: uploadCause, CreatedAt: at(0), Data: r.data, Traceparent: events.Traceparent("", r.id, r.id),
		})
	}
	require.Equal(t, cli.CodeOK, <-done, b.err.String())
	require.Equal(t, runA+"\n", b.out.String())
}

func TestFollowShowsProgress(t *testing.T) {
	whole := wholeRun(t)
	for name, terminal := range map[string]bool{"progress-plain": false, "progress-live": true} {
		t.Run(name, func(t *testing.T) {
			url, _ := broker(t, http.StatusAccepted)
			b := setup(t, runStarted(t, runA, events.Cause{Type: "x", Source: "/refit/cli", ID: "id-1"}, nil))
			b.journal.events = append(b.journal.events, whole[1:10]...)
			b.journal.added, b.journal.idle = make(chan event.Event), make(chan struct{})
			b.broker, b.app.ErrTerminal = url, terminal
			b.app.Width = func() int { return 60 }
			b.app.Now = func() time.Time { return at(100) }
			done := make(chan int)
			go func() { done <- b.run(t, "send", "--follow") }()
			<-b.journal.idle
			for _, p := range []string{
				`{"step":"cluster","done":0,"total":20,"at":"2026-11-23T06:01:20Z"}`, `{"step":"trials","done":1,"total":20,"message":"best F1 0.951","at":"2026-11-23T06:01:25Z"}`,
				`{"step":"trials","done":2,"total":20,"message":"best F1 0.961","at":"2026-11-23T06:01:34Z"}`, `{"step":"trials","done":3,"total":20,"message":"best F1 0.961","at":"2026-11-23T06:01:36Z"}`, `broken`,
				`{"step":"trials","done":20,"total":20,"message":"best F1 0.971","at":"2026-11-23T06:03:00Z"}`,
			} {
				require.NoError(t, b.state.Put(t.Context(), "runs/"+runA+"/tune/1/progress.json", []byte(p)))
				b.ticks <- at(100)
				b.ticks <- at(100) // taken only when the tick before is done with
			}
			for i, e := range whole[10:] {
				if i > 0 {
					<-b.journal.idle
				}
				b.journal.added <- e
			}
			require.Equal(t, cli.CodeOK, <-done)
			golden(t, name, strings.ReplaceAll(b.err.String(), "\x1b", "^"))
		})
	}
}

func TestFollowFindsAnEndThatTheJournalMissed(t *testing.T) {
	url, _ := broker(t, http.StatusAccepted)
	b := setup(t, runStarted(t, runA, events.Cause{Type: "x", Source: "/refit/cli", ID: "id-1"}, nil), started(t, runA, events.Register, 1, 5))
	b.broker = url
	mark, err := json.Marshal(decided(t, runA, events.ModelRejected, 30))
	require.NoError(t, err)
	require.NoError(t, b.state.Put(t.Context(), "runs/"+runA+"/mark", mark))
	done := make(chan int)
	go func() { done <- b.run(t, "send", "--follow") }()
	for code := -1; code < 0; {
		select {
		case b.ticks <- at(1):
		case code = <-done:
			require.Equal(t, cli.CodeRejected, code)
		}
	}
}

func TestFollowIsInterrupted(t *testing.T) {
	url, _ := broker(t, http.StatusAccepted)
	b := setup(t, runStarted(t, runA, events.Cause{Type: "x", Source: "/refit/cli", ID: "id-1"}, nil))
	signals := make(chan os.Signal, 1)
	b.broker, b.app.Signals = url, signals
	done := make(chan int)
	go func() { done <- b.run(t, "send", "--follow") }()
	b.ticks <- at(1)
	signals <- syscall.SIGINT
	require.Equal(t, cli.CodeInterrupted, <-done)
	require.Contains(t, b.err.String(), "goes on without you: refit run show "+runA)
	require.NotContains(t, b.err.String(), "refit: ")
}

func TestSendFollowTellsARefusal(t *testing.T) {
	url, _ := broker(t, http.StatusAccepted)
	b := setup(t, verdict(t, events.LandingRefused, "id-1", events.Landing{Reason: "NoSuchObject", Message: "upload it first"}))
	b.broker = url
	require.Equal(t, cli.CodeRefused, b.run(t, "send", "--follow", "--json"))
	last := b.out.Bytes()[bytes.LastIndexByte(bytes.TrimSpace(b.out.Bytes()), '\n')+1:]
	require.JSONEq(t, `{"refused":{"reason":"NoSuchObject","message":"upload it first"}}`, string(last))
	require.Contains(t, b.err.String(), "NoSuchObject: upload it first")
}
