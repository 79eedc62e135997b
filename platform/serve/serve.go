// Package serve is what a program of refit needs to live in a pod: settings
// read once, an HTTP port that also answers for its health, and an orderly end.
package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// The paths of the probes. Liveness is answered as long as the port is open,
// readiness as Config.Ready says.
const (
	LivenessPath  = "/health/liveness"
	ReadinessPath = "/health/readiness"
)

// shutdownTime is how long requests under way may take once the end is asked
// for; Kubernetes gives a pod 30 s in all.
const shutdownTime = 10 * time.Second

// Config says what a program serves.
type Config struct {
	// Address to listen on, such as ":8080".
	Address string
	// Handler gets all requests but those of the probes; nil answers them 404.
	Handler http.Handler
	// Ready returns nil when the program can do its work, else the reason for
	// people why not. Nil means always ready.
	Ready func() error
	// Logger is slog.Default by default.
	Logger *slog.Logger
}

// Run serves c and runs the tasks beside it until ctx is done, which is no
// error, or until one of them fails, whose error it returns. A task returns when
// its context is done; Run waits for all of them.
func Run(ctx context.Context, c Config, tasks ...func(context.Context) error) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Address)
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var running sync.WaitGroup
	failed := make(chan error, len(tasks)+1)
	for _, task := range append(tasks, c.server(listener)) {
		running.Go(func() {
			if err := task(ctx); err != nil && ctx.Err() == nil {
				failed <- err
				cancel()
			}
		})
	}
	running.Wait()
	close(failed)
	return <-failed
}

// server is the task that answers requests.
func (c Config) server(listener net.Listener) func(context.Context) error {
	return func(ctx context.Context) error {
		s := &http.Server{Handler: c.handler(ctx), ReadHeaderTimeout: 10 * time.Second}
		served := make(chan error, 1)
		go func() { served <- s.Serve(listener) }()
		c.logger().InfoContext(ctx, "listening", "address", listener.Addr().String())
		select {
		case err := <-served:
			return fmt.Errorf("serve %s: %w", c.Address, err)
		case <-ctx.Done():
		}
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
		defer cancel()
		if err := s.Shutdown(ending); err != nil {
			c.logger().WarnContext(ctx, "requests were cut off", "error", err)
			_ = s.Close() // what could not be shut down
		}
		<-served
		return nil
	}
}

func (c Config) handler(ctx context.Context) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+LivenessPath, func(w http.ResponseWriter, _ *http.Request) { answer(w, nil) })
	mux.HandleFunc("GET "+ReadinessPath, func(w http.ResponseWriter, _ *http.Request) { answer(w, c.ready(ctx)) })
	if c.Handler != nil {
		mux.Handle("/", c.Handler)
	}
	return mux
}

func (c Config) ready(ctx context.Context) error {
	switch {
	case ctx.Err() != nil:
		return errors.New("ending")
	case c.Ready != nil:
		return c.Ready()
	}
	return nil
}

func (c Config) logger() *slog.Logger {
	if c.Logger == nil {
		return slog.Default()
	}
	return c.Logger
}

func answer(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("ok\n")) // a prober that left needs no answer
}
