// Package e2e_test runs real mail through the whole platform: real Ray, Feast,
// MLflow, NATS JetStream and S3, the functions mounted in process. The tests
// share one platform, since Ray and MLflow take long to start.
package e2e_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/platform/host"
	"refit.dev/platform/journal"
	"refit.dev/stage"
)

// root is the repository's folder, seen from this package.
var root = must(filepath.Abs("../.."))

// shared is the platform of all tests.
var shared *platform

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "refit-e2e-")
	if err == nil {
		defer os.RemoveAll(dir)
		shared, err = start(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := shared.close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// platform is a running host and a reader of its journal.
type platform struct {
	*host.Host

	dir     string
	nats    *nats.Conn
	journal *journal.Journal
	emitter *stage.Broker
}

func start(dir string) (*platform, error) {
	level := slog.LevelWarn
	if testing.Verbose() {
		level = slog.LevelInfo
	}
	h, err := host.Start(context.Background(), host.Config{
		Dir: filepath.Join(dir, "data"), Source: root, Commit: "e2e", Sweep: 10 * time.Second,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})),
	})
	if err != nil {
		return nil, err
	}
	p := &platform{Host: h, dir: dir}
	return p, errors.Join(p.connect())
}

// connect reaches the journal and the broker as any other program would.
func (p *platform) connect() error {
	c := p.Connection()
	var err error
	if p.nats, err = nats.Connect(c.NATS.URL, nats.Token(c.NATS.Token)); err != nil {
		return err
	}
	js, err := jetstream.New(p.nats)
	if err != nil {
		return err
	}
	if p.journal, err = journal.Attach(context.Background(), js); err != nil {
		return err
	}
	p.emitter, err = stage.NewBroker(c.Broker)
	return err
}

func (p *platform) close() error {
	p.nats.Close()
	return p.Close()
}

// sample is a parquet with rows real mails.
func (p *platform) sample(t *testing.T, rows int, flags ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sample.parquet")
	args := append([]string{
		"testdata/sample.py", filepath.Join(root, "datasets/processed/emails/all_emails.parquet"), file, strconv.Itoa(rows),
	}, flags...)
	command := exec.CommandContext(t.Context(), filepath.Join(root, ".venv/bin/python"), args...)
	command.Dir = filepath.Join(root, "test/e2e")
	out, err := command.CombinedOutput()
	require.NoError(t, err, string(out))
	return file
}

// until returns the first event that accept accepts.
func (p *platform) until(t *testing.T, f journal.Filter, accept func(event.Event) bool) event.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	var found event.Event
	err := p.journal.Follow(ctx, f, func(e event.Event) error {
		if !accept(e) {
			return nil
		}
		found = e
		return journal.ErrStop
	})
	require.NoError(t, err)
	return found
}

// ended follows a run to its end and tells it as the journal does.
func (p *platform) ended(t *testing.T, run string) journal.RunView {
	t.Helper()
	p.until(t, journal.Filter{Run: run}, func(e event.Event) bool { return events.Type(e.Type()).Terminal() })
	list, err := p.journal.Events(t.Context(), journal.Filter{Run: run})
	require.NoError(t, err)
	views := journal.Fold(list)
	require.Len(t, views, 1)
	return views[0]
}

// causedBy is the event that says what came of the event with that id: a run,
// or why there is none.
func (p *platform) causedBy(t *testing.T, id string) event.Event {
	t.Helper()
	return p.until(t, journal.Filter{}, func(e event.Event) bool {
		return events.Extension(e, events.ExtCausationID) == id
	})
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
