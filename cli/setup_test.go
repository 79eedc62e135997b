package cli_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"refit.dev/cli"
	"refit.dev/events"
	"refit.dev/platform/host"
	"refit.dev/platform/journal"
	"refit.dev/stage/store"
)

var update = flag.Bool("update", false, "write the golden files anew")

// testdata is absolute, since an object store changes the working folder.
var testdata, _ = filepath.Abs("testdata")

// golden compares what was printed with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join(testdata, name+".golden")
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "make it with go test ./cli -update")
	require.Equal(t, string(want), got)
}

// bench is a command line with everything around it in the test's hands.
type bench struct {
	app      cli.App
	out, err bytes.Buffer
	journal  *canned
	state    *store.Memory
	landing  *store.Memory
	ticks    chan time.Time
	broker   string
}

// setup is a bench whose platform has the canned events. The clock stands
// still ten minutes after the run began.
func setup(t *testing.T, list ...event.Event) *bench {
	t.Helper()
	b := &bench{journal: &canned{events: list}, state: &store.Memory{}, landing: &store.Memory{}, ticks: make(chan time.Time)}
	ids := 0
	b.app = cli.App{
		Out: &b.out, Err: &b.err, Location: time.UTC,
		Now:    func() time.Time { return at(600) },
		Tick:   func(time.Duration) (<-chan time.Time, func()) { return b.ticks, func() {} },
		NewID:  func() string { ids++; return "id-" + strconv.Itoa(ids) },
		Getenv: func(string) string { return "" },
		Connect: func(_ context.Context, dir string) (*cli.Session, error) {
			c := host.Connection{
				S3:     host.S3{Endpoint: "http://127.0.0.1:8490", AccessKey: "key", SecretKey: "very-secret", Landing: "landing", State: "refit"},
				NATS:   host.Endpoint{URL: "nats://127.0.0.1:4222", Token: "very-secret"},
				Broker: b.broker, MLflow: "http://127.0.0.1:5000", Ray: host.Endpoint{URL: "http://127.0.0.1:8265", Token: "very-secret"},
			}
			return &cli.Session{
				Connection: c, Journal: b.journal, State: b.state, Landing: b.landing, Upload: b.upload, Close: func() {},
				Broker: func(context.Context) (string, error) { return b.broker, nil },
				Page:   func(address string) (string, string) { return address, "" },
				Log:    func(_ context.Context, name string) (io.ReadCloser, error) { return os.Open(filepath.Join(dir, name)) },
			}, nil
		},
	}
	t.Cleanup(func() { require.NotContains(t, b.out.String()+b.err.String(), "very-secret") })
	return b
}

// run executes a command line in a data folder of its own.
func (b *bench) run(t *testing.T, args ...string) int {
	t.Helper()
	return cli.Execute(t.Context(), b.app, append(args, "--dir", t.TempDir()))
}

// upload puts the file into the landing bucket, as the object store would.
func (b *bench) upload(_ context.Context, key string, file *os.File, metadata map[string]string) error {
	body, err := os.ReadFile(file.Name())
	b.landing.Upload(key, body, metadata)
	return err
}

// canned is a journal with given events, and what is added while it is
// followed.
type canned struct {
	events []event.Event
	added  chan event.Event
	// idle is received from whenever a follower has got all there is.
	idle chan struct{}
}

func (c *canned) Events(_ context.Context, f journal.Filter) ([]event.Event, error) {
	return slices.DeleteFunc(slices.Clone(c.events), func(e event.Event) bool { return !selects(f, e) }), nil
}

func (c *canned) Follow(ctx context.Context, f journal.Filter, do func(event.Event) error) error {
	for _, e := range c.events {
		if !selects(f, e) {
			continue
		}
		if err := do(e); errors.Is(err, journal.ErrStop) {
			return nil
		} else if err != nil {
			return err
		}
	}
	for {
		if c.idle != nil {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case c.idle <- struct{}{}:
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e := <-c.added:
			if err := do(e); errors.Is(err, journal.ErrStop) {
				return nil
			} else if err != nil {
				return err
			}
		}
	}
}

func selects(f journal.Filter, e event.Event) bool {
	return (f.Run == "" || f.Run == journal.RunOf(e)) && (len(f.Types) == 0 || slices.Contains(f.Types, e.Type()))
}

// The runs of the canned events.
const (
	runA = "r-20261123-060000-0a1b2c3d"
	runB = "r-20261123-070000-4e5f6a7b"
)

func at(seconds int) time.Time {
	return time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC).Add(time.Duration(seconds) * time.Second)
}

func say(t *testing.T, v events.Envelope, second int, data any) event.Event {
	t.Helper()
	v.Time = at(second)
	if v.Source == "" {
		v.Source = events.FunctionSource(v.Stage)
	}
	e, err := v.Event(data)
	require.NoError(t, err)
	return e
}

func runStarted(t *testing.T, run string, cause events.Cause, replay *events.Replay) event.Event {
	t.Helper()
	return say(t, events.Envelope{Type: events.RunStarted, Run: run, Stage: events.Prepare, Cause: cause.ID}, 1, events.Run{
		ID: run, Parameters: events.Defaults(), Replay: replay, Cause: cause, CreatedAt: at(0), Commit: "5efa970",
		Traceparent: events.Traceparent("", run, run),
		Data:        events.Data{Artifact: events.Artifact{URI: "s3://landing/mail.parquet", Bytes: 5648343, ETag: "e1"}, LandedAt: at(0)},
	})
}

func started(t *testing.T, run string, s events.Stage, attempt, second int) event.Event {
	t.Helper()
	n := strconv.Itoa(attempt)
	return say(t, events.Envelope{Type: s.Started(), Run: run, Stage: s, Key: n}, second, events.Started{
		Run: run, Stage: s, Attempt: attempt, Workload: run + "-" + string(s) + "-" + n,
		Spec: "s3://refit/runs/" + run + "/" + string(s) + "/" + n + "/spec.json", Deadline: at(3600),
	})
}

func completed(t *testing.T, run string, s events.Stage, attempt, second int, took float64, figures events.Figures) event.Event {
	t.Helper()
	prefix := "s3://refit/runs/" + run + "/" + string(s) + "/" + strconv.Itoa(attempt) + "/"
	return say(t, events.Envelope{Type: s.Completed(), Run: run, Stage: s, Key: strconv.Itoa(attempt)}, second, events.Completed{
		Run: run, Stage: s, Attempt: attempt, Figures: figures, Seconds: took, Log: prefix + "log.txt",
		Artifacts: events.Artifacts{"made": {URI: prefix + "made.parquet", Digest: "sha256:" + zeros, Bytes: 1234}},
	})
}

const zeros = "0000000000000000000000000000000000000000000000000000000000000000"

func decided(t *testing.T, run string, kind events.Type, second int) event.Event {
	t.Helper()
	m := events.Model{
		Run: run, Attempt: 1, Name: "spam-detector", F1: 0.9712, Threshold: 0.85, Reason: "F1 0.9712 on 1177 test mails reaches f1_threshold 0.85",
		Version: "1", Alias: "champion", AliasReason: "there was no champion", Link: "http://127.0.0.1:5000/#/experiments/1/runs/abc",
		Figures: events.Figures{
			"f1": 0.9712, "f1_low": 0.9601, "f1_high": 0.981, "precision": 0.98, "recall": 0.9625, "auc": 0.9951, "threshold": 0.4211,
			"rows": 1177, "winner": "tuned", "other_f1": 0.9688, "f1_unseen_domains": nil,
		},
	}
	if kind == events.ModelRejected {
		m.Version, m.Alias, m.AliasReason, m.Reason = "", "", "", "F1 0.9712 on 1177 test mails is below f1_threshold 0.999"
	}
	return say(t, events.Envelope{Type: kind, Run: run, Stage: events.Register, Key: "1"}, second, m)
}

func failed(t *testing.T, run string, s events.Stage, kind events.Type, second int) event.Event {
	t.Helper()
	return say(t, events.Envelope{Type: kind, Run: run, Stage: s, Key: "1"}, second, events.Failed{
		Run: run, Stage: s, Attempt: 1, Reason: "BadInput", Message: "column label is missing: upload a file with the columns of the README", Log: "s3://refit/log.txt",
	})
}

var uploadCause = events.Cause{Type: events.ObjectCreatedPrefix + "Put", Source: "aws:s3.us-east-1.landing", ID: "s3:1"}

// wholeRun is a registered run whose training was lost once.
func wholeRun(t *testing.T) []event.Event {
	t.Helper()
	lost := say(t, events.Envelope{
		Type: events.WorkloadEnded, Source: events.SourceSource, Run: runA, Stage: events.Train, Key: "u", Outcome: events.Lost,
	}, 60, events.End{
		Run: runA, Stage: events.Train, Attempt: 1, Workload: runA + "-train-1", UID: "u", Outcome: events.Lost,
		Reason: "PlatformStopped", Message: "the platform stopped", StartedAt: at(50), EndedAt: at(60),
	})
	return []event.Event{
		runStarted(t, runA, uploadCause, nil),
		started(t, runA, events.Prepare, 1, 2),
		completed(t, runA, events.Prepare, 1, 14, 11.5, events.Figures{"rows": 6046, "kept": 5877, "dropped": 169, "train_rows": 4700, "test_rows": 1177, "layout": "raw"}),
		started(t, runA, events.Features, 1, 15),
		completed(t, runA, events.Features, 1, 45, 29.25, events.Figures{"columns": 524, "train_rows": 4700, "test_rows": 1177}),
		started(t, runA, events.Train, 1, 46), lost,
		started(t, runA, events.Train, 2, 61),
		completed(t, runA, events.Train, 2, 75, 13, events.Figures{"f1": 0.9681, "rounds": 210}),
		started(t, runA, events.Tune, 1, 76),
		completed(t, runA, events.Tune, 1, 190, 112.5, events.Figures{"f1": 0.9752, "trials": 20, "stopped_early": 11}),
		started(t, runA, events.Register, 1, 191),
		decided(t, runA, events.ModelRegistered, 222),
	}
}
