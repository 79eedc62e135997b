package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"refit.dev/cli"
	"refit.dev/events"
	"refit.dev/platform/bus"
	"refit.dev/platform/host"
	"refit.dev/platform/journal"
	"refit.dev/platform/objects"
	"refit.dev/stage/store"
)

// fake is a platform that does nothing but tell what happens to it.
type fake struct {
	failed chan error
	// closing is closed when Close is called, which then waits for closed.
	closing, closed chan struct{}
}

func newFake() *fake {
	f := &fake{failed: make(chan error, 1), closing: make(chan struct{}), closed: make(chan struct{})}
	close(f.closed)
	return f
}

func (f *fake) Connection() host.Connection {
	return host.Connection{
		S3: host.S3{Endpoint: "http://127.0.0.1:8490", SecretKey: "very-secret", Landing: "landing"}, Broker: "http://127.0.0.1:8480/default/refit",
		MLflow: "http://127.0.0.1:5000", Ray: host.Endpoint{URL: "http://127.0.0.1:8265", Token: "very-secret"}, NATS: host.Endpoint{URL: "nats://127.0.0.1:4222", Token: "very-secret"},
	}
}

func (f *fake) Ready(context.Context) error { return nil }

func (f *fake) Wait(ctx context.Context) error {
	select {
	case err := <-f.failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

func (f *fake) Close() error {
	close(f.closing)
	<-f.closed
	return nil
}

// project is a folder with an interpreter, as --source wants.
func project(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, ".venv", "bin"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".venv", "bin", "python"), []byte("#!/bin/sh\n"), 0o700))
	return dir
}

func TestUpRunsUntilItIsInterrupted(t *testing.T) {
	b, f, signals := setup(t), newFake(), make(chan os.Signal, 1)
	b.app.Signals = signals
	var got host.Config
	b.app.Start = func(_ context.Context, c host.Config) (cli.Running, error) {
		got = c
		signals <- syscall.SIGINT
		return f, nil
	}
	b.app.Getenv = func(name string) string {
		return map[string]string{"REFIT_PORT_S3": "1234", "REFIT_SWEEP": "5s", "REFIT_DEADLINE": "1m"}[name]
	}
	code := b.run(t, "up", "--source", project(t), "--port-mlflow", "5001", "--deadline", "30m", "--functions-url", "train=http://127.0.0.1:9003")
	require.Equal(t, cli.CodeOK, code, b.err.String())
	<-f.closing
	require.Equal(t, 1234, got.Ports.S3)
	require.Equal(t, 5001, got.Ports.MLflow)
	require.Equal(t, "30m0s 5s", fmt.Sprint(got.Deadline, got.Sweep), "the command line counts before the environment")
	require.Equal(t, map[string]string{"train": "http://127.0.0.1:9003"}, got.Functions)
	require.Contains(t, b.out.String(), "MLflow\thttp://127.0.0.1:5000\n")
	require.Contains(t, b.out.String(), "ray/token")
}

func TestUpLeavesAtTheSecondSignal(t *testing.T) {
	b, f, signals := setup(t), newFake(), make(chan os.Signal)
	f.closed = make(chan struct{})
	b.app.Signals = signals
	b.app.Start = func(context.Context, host.Config) (cli.Running, error) { return f, nil }
	source, done := project(t), make(chan int)
	go func() { done <- b.run(t, "up", "--json", "--source", source) }()
	signals <- syscall.SIGINT
	<-f.closing
	signals <- syscall.SIGINT
	require.Equal(t, cli.CodeInterrupted, <-done)
	require.Contains(t, b.err.String(), "the next refit up ends what is left")
	close(f.closed)
	var places map[string]string
	require.NoError(t, json.Unmarshal(b.out.Bytes(), &places))
	require.Equal(t, "http://127.0.0.1:8265", places["Ray"])
}

func TestUpTellsWhyThePlatformEnded(t *testing.T) {
	b, f := setup(t), newFake()
	f.failed <- errors.New("Ray ended: killed")
	b.app.Start = func(context.Context, host.Config) (cli.Running, error) { return f, nil }
	require.Equal(t, cli.CodeError, b.run(t, "up", "--source", project(t)))
	require.Contains(t, b.err.String(), "the platform ended by itself: Ray ended: killed")
	<-f.closing
}

func TestUpTellsWhyThePlatformDoesNotStart(t *testing.T) {
	b := setup(t)
	b.app.Start = func(context.Context, host.Config) (cli.Running, error) { return nil, errors.New("port 5000 is held") }
	require.Equal(t, cli.CodeError, b.run(t, "up", "--source", project(t)))
	require.Contains(t, b.err.String(), "refit: port 5000 is held\n")
	b = setup(t)
	require.Equal(t, cli.CodeError, b.run(t, "up", "--source", t.TempDir()))
	require.Contains(t, b.err.String(), "make setup")
}

func TestRunStartsAPlatformForItsTime(t *testing.T) {
	list := append(wholeRun(t), landed(t, "mine", etag(t)), verdict(t, events.LandingDuplicate, "mine", events.Landing{Run: runA, Reason: "Duplicate", Message: "m"}))
	b, f := setup(t, list...), newFake()
	connect, started := b.app.Connect, false
	b.app.Connect = func(ctx context.Context, dir string) (*cli.Session, error) {
		if !started {
			return nil, fmt.Errorf("%w: start one with refit up", host.ErrNotRunning)
		}
		return connect(ctx, dir)
	}
	b.app.Start = func(_ context.Context, c host.Config) (cli.Running, error) {
		started = true
		c.Logger.Info("not for the view")
		return f, nil
	}
	require.Equal(t, cli.CodeError, b.run(t, "run", upload(t), "--platform", "running"))
	require.Contains(t, b.err.String(), "start one with refit up")
	require.Equal(t, cli.CodeError, b.run(t, "run", upload(t), "--detach"))
	b.err.Reset()
	require.Equal(t, cli.CodeOK, b.run(t, "run", upload(t), "--source", project(t)), b.err.String())
	<-f.closing
	require.Contains(t, b.err.String(), "refit up brings MLflow back at http://127.0.0.1:5000")
	require.NotContains(t, b.err.String(), "not for the view")
}

func TestRunWithoutAFile(t *testing.T) {
	b := setup(t)
	require.Equal(t, cli.CodeError, b.run(t, "run", "missing.parquet"))
	require.Contains(t, b.err.String(), "missing.parquet")
	t.Chdir(t.TempDir())
	require.Equal(t, cli.CodeError, b.run(t, "run"))
	require.Contains(t, b.err.String(), "make dataset")
}

func TestDialWithoutAPlatform(t *testing.T) {
	dir := t.TempDir()
	_, err := cli.Dial(t.Context(), dir)
	require.ErrorIs(t, err, host.ErrNotRunning)
	writeConnection(t, dir, host.Connection{PID: 7, NATS: host.Endpoint{URL: "nats://127.0.0.1:1"}})
	_, err = cli.Dial(t.Context(), dir)
	require.ErrorIs(t, err, host.ErrNotRunning)
	require.ErrorContains(t, err, "process 7")
}

func writeConnection(t *testing.T, dir string, c host.Connection) {
	t.Helper()
	body, err := json.Marshal(c)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "connection.json"), body, 0o600))
}

// services are the parts of a platform that a session talks to.
func services(t *testing.T) (host.Connection, *journal.Journal) {
	t.Helper()
	b, err := bus.Start(t.Context(), bus.Config{Dir: t.TempDir(), Token: "very-secret"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	j, err := journal.Open(t.Context(), b.JetStream())
	require.NoError(t, err)
	s, err := objects.Start(t.Context(), objects.Config{Dir: t.TempDir(), AccessKey: "key", SecretKey: "very-secret", Buckets: []string{"landing", "refit"}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return host.Connection{
		NATS: host.Endpoint{URL: b.URL(), Token: "very-secret"},
		S3:   host.S3{Endpoint: s.URL(), Region: "us-east-1", AccessKey: "key", SecretKey: "very-secret", Landing: "landing", State: "refit"},
	}, j
}

func TestDialReachesEverything(t *testing.T) {
	dir := t.TempDir()
	c, j := services(t)
	writeConnection(t, dir, c)
	require.NoError(t, j.Record(t.Context(), runStarted(t, runA, uploadCause, nil)))
	session, err := cli.Dial(t.Context(), dir)
	require.NoError(t, err)
	defer session.Close()

	list, err := session.Journal.Events(t.Context(), journal.Filter{Run: runA})
	require.NoError(t, err)
	require.Len(t, list, 1)
	file, err := os.Open(upload(t))
	require.NoError(t, err)
	defer file.Close()
	require.NoError(t, session.Upload(t.Context(), key, file, map[string]string{"refit-seed": "7"}))
	info, err := session.Landing.Head(t.Context(), key)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"refit-seed": "7"}, info.Metadata)
	require.Equal(t, etag(t), info.ETag)

	winners, err := cli.Race(t.Context(), session.State, "race")
	require.NoError(t, err)
	require.Equal(t, 1, winners)
	require.NoError(t, session.Remove(t.Context(), "race"))
	_, err = session.State.Head(t.Context(), "race")
	require.ErrorIs(t, err, store.ErrNotFound)
}

func TestRaceFindsAStoreThatOverwrites(t *testing.T) {
	winners, err := cli.Race(t.Context(), careless{&store.Memory{}}, "race")
	require.NoError(t, err)
	require.Equal(t, 16, winners)
}

// careless is a store that does not honour If-None-Match.
type careless struct{ *store.Memory }

func (c careless) Create(ctx context.Context, key string, body []byte) error {
	return c.Put(ctx, key, body)
}
