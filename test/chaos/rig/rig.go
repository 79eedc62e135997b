// Package rig runs the whole platform with the small workload, and with the
// five functions behind proxies that can break or kill: between the function
// and the object store, the broker, the launcher and MLflow, and between the
// broker and the function.
package rig

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"time"

	"refit.dev/events"
	"refit.dev/functions/features"
	"refit.dev/functions/prepare"
	"refit.dev/functions/register"
	"refit.dev/functions/train"
	"refit.dev/functions/tune"
	"refit.dev/platform/host"
	"refit.dev/stage"
	"refit.dev/test/chaos/fault"
	"refit.dev/test/chaos/small"
	"refit.dev/workload"
)

// Rig is a running platform.
type Rig struct {
	*host.Host

	// S3, Broker, Launcher and MLflow stand between the functions and what they
	// use, Functions between the broker and the functions.
	S3, Broker, Launcher, MLflow, Functions *fault.Proxy

	clock  func() time.Time
	server *httptest.Server
	mu     sync.Mutex
	mounts map[string]http.Handler
}

// Config is host's Config with what the rig adds to it.
type Config struct {
	// Config's Clock is that of the functions as well.
	host.Config

	// Folder is where workloads note that they ran; it must exist.
	Folder string
	// Program and Words begin the command line of a workload: a program that
	// calls small.Main with what follows small.Word. Program is the running one
	// by default.
	Program string
}

// Start starts the platform and, on it, the functions.
func Start(ctx context.Context, c Config) (*Rig, error) {
	r := &Rig{
		clock: c.Clock,
		S3:    fault.New(), Broker: fault.New(), Launcher: fault.New(), MLflow: fault.New(), Functions: fault.New(),
		mounts: map[string]http.Handler{},
	}
	r.server = httptest.NewServer(http.HandlerFunc(r.serve))
	if c.Program == "" {
		c.Program = os.Args[0]
	}
	c.Command = func(job workload.Job) ([]string, error) {
		// With the race detector a program waits for a second when it ends, by default.
		return append([]string{"env", "GORACE=atexit_sleep_ms=0", c.Program}, small.Args(c.Folder, job)...), nil
	}
	c.Functions = map[string]string{}
	for _, s := range events.Stages() {
		c.Functions[string(s)] = r.Functions.URL + "/" + string(s) + "/"
	}
	h, err := host.Start(ctx, c.Config)
	if err != nil {
		r.closeProxies()
		return nil, err
	}
	r.Host = h
	if err := r.mount(ctx); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// Close ends the functions and the platform.
func (r *Rig) Close() error {
	err := r.Host.Close()
	r.closeProxies()
	return err
}

func (r *Rig) closeProxies() {
	for _, p := range r.proxies() {
		p.Break()
		p.Close()
	}
	r.server.Close()
}

func (r *Rig) proxies() map[string]*fault.Proxy {
	return map[string]*fault.Proxy{
		"s3": r.S3, "broker": r.Broker, "launcher": r.Launcher, "mlflow": r.MLflow, "function": r.Functions,
	}
}

// Proxy finds a proxy by its name: s3, broker, launcher, mlflow or function.
func (r *Rig) Proxy(name string) (*fault.Proxy, error) {
	if p, found := r.proxies()[name]; found {
		return p, nil
	}
	return nil, fmt.Errorf("proxy %q: there is none", name)
}

// mount starts the functions on what the proxies stand before.
func (r *Rig) mount(ctx context.Context) error {
	env := r.FunctionEnv()
	for name, proxy := range map[string]*fault.Proxy{
		"REFIT_S3_ENDPOINT": r.S3, "K_SINK": r.Broker, "REFIT_LAUNCHER_URL": r.Launcher, "MLFLOW_TRACKING_URI": r.MLflow,
	} {
		if err := proxy.Target(env[name]); err != nil {
			return fmt.Errorf("%s=%q: %w", name, env[name], err)
		}
		env[name] = proxy.URL + path(env[name])
	}
	for s, f := range functions() {
		p, err := stage.FromEnv(env)
		if err != nil {
			return fmt.Errorf("start function %s: %w", s, err)
		}
		p.Clock = r.clock
		if err := f.StartOn(ctx, p); err != nil {
			return err
		}
		r.mu.Lock()
		r.mounts[string(s)] = f
		r.mu.Unlock()
	}
	return r.Functions.Target(r.server.URL)
}

// path is what follows the host of a URL.
func path(url string) string {
	_, rest, _ := strings.Cut(url, "://")
	_, rest, found := strings.Cut(rest, "/")
	if !found {
		return ""
	}
	return "/" + rest
}

func (r *Rig) serve(w http.ResponseWriter, request *http.Request) {
	name, _, _ := strings.Cut(strings.TrimPrefix(request.URL.Path, "/"), "/")
	r.mu.Lock()
	handler, found := r.mounts[name]
	r.mu.Unlock()
	if !found {
		http.NotFound(w, request)
		return
	}
	http.StripPrefix("/"+name, handler).ServeHTTP(w, request)
}

func functions() map[events.Stage]*stage.Function {
	return map[events.Stage]*stage.Function{
		events.Prepare: prepare.New(), events.Features: features.New(), events.Train: train.New(),
		events.Tune: tune.New(), events.Register: register.New(),
	}
}
