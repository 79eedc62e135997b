// Package platformtest runs the whole platform for tests: real Ray, Feast,
// MLflow, NATS JetStream and S3.
package platformtest

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
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

// Platform is a running platform, in this process or in one of its own.
type Platform struct {
	// Connection says how it is reached.
	Connection func() host.Connection
	// FunctionEnv are the settings of a function on it; nil for a platform in a
	// process of its own.
	FunctionEnv func() map[string]string
	// Config is what it was started with.
	Config host.Config
	// Journal is read as any other program would.
	Journal *journal.Journal
	// Patience is how long Until waits, 4 minutes if it is 0.
	Patience time.Duration

	nats    *nats.Conn
	emitter *stage.Broker
	close   func() error
}

// Main is a TestMain that keeps one platform for all tests of a package, since
// Ray and MLflow take long to start. change may change its settings.
func Main(m *testing.M, shared **Platform, change func(*host.Config)) {
	flag.Parse()
	os.Exit(run(m, shared, change))
}

func run(m *testing.M, shared **Platform, change func(*host.Config)) (code int) {
	dir, err := os.MkdirTemp("", "refit-e2e-")
	if err != nil {
		return failure(err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a rest in the temporary folder fails no test
	if *shared, err = Start(dir, change); err != nil {
		return failure(err)
	}
	code = m.Run()
	if err := (*shared).Close(); err != nil {
		return failure(err)
	}
	return code
}

func failure(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// Start runs a platform on the folder dir, on free ports.
func Start(dir string, change func(*host.Config)) (*Platform, error) {
	level := slog.LevelWarn
	if testing.Verbose() {
		level = slog.LevelInfo
	}
	c := host.Config{
		Dir: filepath.Join(dir, "data"), Source: Root(), Commit: "e2e", Sweep: 10 * time.Second,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})),
	}
	change(&c)
	h, err := host.Start(context.Background(), c)
	if err != nil {
		return nil, err
	}
	p := &Platform{Connection: h.Connection, FunctionEnv: h.FunctionEnv, Config: c, close: h.Close}
	if err := p.connect(); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return p, nil
}

// Attach reaches a platform that somebody else started; Close ends nothing of it.
func Attach(c host.Connection) (*Platform, error) {
	p := &Platform{Connection: func() host.Connection { return c }, close: func() error { return nil }}
	return p, p.connect()
}

// Root is the repository's folder.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// connect reaches the journal and the broker as any other program would.
func (p *Platform) connect() error {
	c := p.Connection()
	var err error
	if p.nats, err = nats.Connect(c.NATS.URL, nats.Token(c.NATS.Token)); err != nil {
		return err
	}
	js, err := jetstream.New(p.nats)
	if err != nil {
		return err
	}
	if p.Journal, err = journal.Attach(context.Background(), js); err != nil {
		return err
	}
	p.emitter, err = stage.NewBroker(c.Broker)
	return err
}

// Close ends the platform.
func (p *Platform) Close() error {
	p.nats.Close()
	return p.close()
}

// Sample is a parquet with rows real mails.
func (p *Platform) Sample(t testing.TB, rows int, flags ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sample.parquet")
	args := append([]string{
		"test/platformtest/sample.py", filepath.Join(Root(), "datasets/processed/emails/all_emails.parquet"), file, strconv.Itoa(rows),
	}, flags...)
	command := exec.CommandContext(t.Context(), filepath.Join(Root(), ".venv/bin/python"), args...)
	command.Dir = Root()
	out, err := command.CombinedOutput()
	require.NoError(t, err, string(out))
	return file
}

// Until returns the first event that accept accepts.
func (p *Platform) Until(t testing.TB, f journal.Filter, accept func(event.Event) bool) event.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), cmp.Or(p.Patience, 4*time.Minute))
	defer cancel()
	var found event.Event
	err := p.Journal.Follow(ctx, f, func(e event.Event) error {
		if !accept(e) {
			return nil
		}
		found = e
		return journal.ErrStop
	})
	require.NoError(t, err)
	return found
}

// Ended follows a run to its end and tells it as the journal does.
func (p *Platform) Ended(t testing.TB, run string) journal.RunView {
	t.Helper()
	p.Until(t, journal.Filter{Run: run}, func(e event.Event) bool { return events.Type(e.Type()).Terminal() })
	list, err := p.Journal.Events(t.Context(), journal.Filter{Run: run})
	require.NoError(t, err)
	views := journal.Fold(list)
	require.Len(t, views, 1)
	return views[0]
}

// CausedBy is the event that says what came of the event with that id: a run,
// or why there is none.
func (p *Platform) CausedBy(t testing.TB, id string) event.Event {
	t.Helper()
	return p.Until(t, journal.Filter{}, func(e event.Event) bool {
		return events.Extension(e, events.ExtCausationID) == id
	})
}
