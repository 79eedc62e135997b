package service

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refit.dev/workload/process/session"
)

// script is a service that runs a shell script, which is up once it made the
// file "up" in its folder.
func script(t *testing.T, text string) Config {
	t.Helper()
	dir := t.TempDir()
	return Config{
		Name: "test", Dir: dir, Identity: "one", ScratchRoot: t.TempDir(), Restarts: -1,
		Command: func(string) (Command, error) {
			return Command{Args: []string{"/bin/sh", "-c", text}, Env: []string{"PATH=" + os.Getenv("PATH")}}, nil
		},
		Check: func(context.Context) error {
			_, err := os.Stat(filepath.Join(dir, "up"))
			return err
		},
	}
}

// forever makes the file and stays, with a child.
const forever = `touch up; sleep 60 & wait`

func start(t *testing.T, cfg Config) *Service {
	t.Helper()
	s, err := Start(context.Background(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close(context.Background())) })
	return s
}

// running is the session on record.
func running(t *testing.T, cfg Config) session.ID {
	t.Helper()
	r, err := cfg.load()
	require.NoError(t, err)
	require.NotZero(t, r.Session)
	return r.Session
}

func ready(t *testing.T, s *Service) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	require.NoError(t, s.Ready(ctx))
}

func TestCloseLeavesNothing(t *testing.T) {
	cfg := script(t, forever)
	s := start(t, cfg)
	ready(t, s)
	id := running(t, cfg)
	require.NoError(t, s.Close(context.Background()))
	members, err := id.Members()
	require.NoError(t, err)
	require.Empty(t, members)
	require.NoError(t, s.Err())
	<-s.Done()
	require.NoFileExists(t, cfg.recordPath())
	left, err := os.ReadDir(cfg.ScratchRoot)
	require.NoError(t, err)
	require.Empty(t, left)
	require.ErrorIs(t, s.Ready(context.Background()), errStopped)
}

func TestCloseKillsWhenItsContextIsDone(t *testing.T) {
	cfg := script(t, `trap '' TERM; `+forever+`; wait; wait`)
	cfg.Grace = time.Hour
	s := start(t, cfg)
	ready(t, s)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.NoError(t, s.Close(ctx))
}

// crash makes the service of an earlier program: it starts one in a way that
// nobody will close.
func crash(t *testing.T, cfg Config) session.ID {
	t.Helper()
	p, err := spawn(cfg.withDefaults())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.record.Session.End(context.Background(), 0)) })
	s := Service{cfg: cfg}
	require.NoError(t, s.await(t.Context(), cfg.Check))
	return p.record.Session
}

func TestStartAfterACrash(t *testing.T) {
	tests := map[string]struct {
		change       func(*testing.T, *Config)
		wantTakeOver bool
	}{
		"goes on with the same server": {
			change: func(*testing.T, *Config) {}, wantTakeOver: true,
		},
		"finds a server that did not get on record": {
			change: func(t *testing.T, cfg *Config) {
				r, err := cfg.load()
				require.NoError(t, err)
				r.Session = session.ID{}
				require.NoError(t, cfg.save(r))
			}, wantTakeOver: true,
		},
		"ends a server with other settings": {
			change: func(_ *testing.T, cfg *Config) { cfg.Identity = "two" },
		},
		"ends a server if told to": {
			change: func(_ *testing.T, cfg *Config) { cfg.Identity = "" },
		},
		"ends a server that does not answer": {
			change: func(t *testing.T, cfg *Config) {
				check, asked := cfg.Check, false
				cfg.Check = func(ctx context.Context) error {
					if !asked {
						if _, ok := ctx.Deadline(); ok {
							<-ctx.Done()
							asked = true
							return ctx.Err()
						}
					}
					return check(ctx)
				}
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := script(t, forever)
			old := crash(t, cfg)
			test.change(t, &cfg)
			s := start(t, cfg)
			ready(t, s)
			require.Equal(t, test.wantTakeOver, old.Alive())
			require.Equal(t, test.wantTakeOver, running(t, cfg) == old)
			require.NoError(t, s.Close(context.Background()))
			require.False(t, old.Alive())
			left, err := os.ReadDir(cfg.ScratchRoot)
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
}

func TestADeadServiceIsStartedAgain(t *testing.T) {
	cfg := script(t, forever)
	cfg.Restarts = 1
	s := start(t, cfg)
	ready(t, s)
	first := running(t, cfg)
	require.NoError(t, os.Remove(filepath.Join(cfg.Dir, "up")))
	require.NoError(t, first.End(context.Background(), 0))
	ready(t, s)
	require.NotEqual(t, first, running(t, cfg))
	require.Equal(t, 2, s.Starts())
}

func TestADeathIsNoticedAlsoWhenItComesLater(t *testing.T) {
	cfg := script(t, forever)
	cfg.Restarts = 1
	began := time.Now()
	s := start(t, cfg)
	ready(t, s)
	soon, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	require.False(t, s.DiedSince(soon, began), "it lives")
	noticed := make(chan bool)
	go func() { noticed <- s.DiedSince(t.Context(), began) }()
	require.NoError(t, running(t, cfg).Signal(syscall.SIGKILL))
	require.True(t, <-noticed)
	require.False(t, s.DiedSince(soon, time.Now()), "it has not died again")
}

func TestAServiceThatDiesTooOftenIsGivenUp(t *testing.T) {
	cfg := script(t, `echo no database; exit 3`)
	cfg.Restarts = 1
	s := start(t, cfg)
	<-s.Done()
	require.ErrorContains(t, s.Err(), "test died: exit status 3")
	require.ErrorContains(t, s.Err(), "no database")
	require.ErrorContains(t, s.Ready(context.Background()), "no database")
	require.Equal(t, 2, s.Starts())
}

func TestStartFails(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	tests := map[string]struct {
		change  func(*Config)
		wantErr string
	}{
		"without a check":           {func(c *Config) { c.Check = nil }, "Check must be set"},
		"with a port that is taken": {func(c *Config) { c.Addresses = []string{l.Addr().String()} }, "is not free"},
		"without a command": {func(c *Config) {
			c.Command = func(string) (Command, error) { return Command{}, errors.New("no python") }
		}, "start test: no python"},
		"with a program that is missing": {func(c *Config) {
			c.Command = func(string) (Command, error) { return Command{Args: []string{"/nowhere/program"}}, nil }
		}, "/nowhere/program"},
		"with a damaged record": {func(c *Config) {
			require.NoError(t, os.WriteFile(c.recordPath(), []byte("{"), 0o600))
		}, "is damaged"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := script(t, forever)
			test.change(&cfg)
			_, err := Start(context.Background(), cfg)
			require.ErrorContains(t, err, test.wantErr)
			left, err := os.ReadDir(cfg.ScratchRoot)
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
}

func TestReadyEndsWithItsContext(t *testing.T) {
	s := start(t, script(t, `sleep 60`))
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	err := s.Ready(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "no such file", "it says what was wrong last")
}

func TestAnswers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	defer func() {
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-served, http.ErrServerClosed)
	}()
	url := "http://" + l.Addr().String()
	require.NoError(t, Answers(url, "secret")(t.Context()))
	err = Answers(url, "")(t.Context())
	require.ErrorContains(t, err, "401")
	require.NotContains(t, err.Error(), "secret")
	require.Error(t, Answers("http://127.0.0.1:1", "")(t.Context()))
}
