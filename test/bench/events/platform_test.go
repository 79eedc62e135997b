package events_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"refit.dev/config"
	"refit.dev/events"
	"refit.dev/functions/features"
	"refit.dev/functions/prepare"
	"refit.dev/functions/register"
	"refit.dev/functions/train"
	"refit.dev/functions/tune"
	"refit.dev/platform/broker"
	"refit.dev/platform/bus"
	"refit.dev/platform/journal"
	"refit.dev/platform/objects"
	"refit.dev/stage"
)

const (
	brokerPath  = "/default/refit"
	journalPath = "/journal"
	token       = "a-token-for-benchmarks"
)

// platform is what refit up is of Go: the bus, the journal, the object store,
// the broker with config's triggers, and the five functions, put together as
// package host does. Nothing of Python runs and nothing is launched.
type platform struct {
	bus     *bus.Bus
	journal *journal.Journal
	objects *objects.Store
	broker  *broker.Broker
	mux     *http.ServeMux
	server  *httptest.Server

	// heard gets the id of each event that prepare gave its verdict, when the
	// verdict is stored.
	heard func(id string)
	end   func()
}

// start brings the platform up on dir.
func start(ctx context.Context, dir string, heard func(id string)) (_ *platform, err error) {
	p := &platform{heard: heard, mux: http.NewServeMux(), end: func() {}}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	p.server = httptest.NewServer(p.mux)
	if p.bus, err = bus.Start(ctx, bus.Config{Dir: filepath.Join(dir, "nats"), Token: token}); err != nil {
		return p, err
	}
	if p.journal, err = journal.Open(ctx, p.bus.JetStream()); err != nil {
		return p, err
	}
	if err := p.startBroker(ctx); err != nil {
		return p, err
	}
	p.objects, err = objects.Start(ctx, objects.Config{
		Dir: filepath.Join(dir, "objects"), AccessKey: token, SecretKey: token, Buckets: []string{"landing", "refit"},
	})
	if err != nil {
		return p, err
	}
	p.mux.Handle("POST "+brokerPath, p.broker)
	p.mux.Handle(journalPath+"/", http.StripPrefix(journalPath, p.journal.Handler()))
	if err := p.mount(ctx); err != nil {
		return p, err
	}
	p.run()
	return p, nil
}

func (p *platform) startBroker(ctx context.Context) error {
	manifests, err := broker.Load(config.Files)
	if err != nil {
		return err
	}
	p.broker, err = broker.New(ctx, broker.Config{
		Manifests: manifests, JetStream: p.bus.JetStream(), Logger: slog.Default(),
		Resolve: func(_, name string) (string, error) { return p.server.URL + "/" + name + "/", nil },
		Local:   func(string) http.Handler { return p.mux },
	})
	return err
}

func (p *platform) mount(ctx context.Context) error {
	for s, f := range map[events.Stage]*stage.Function{
		events.Prepare: prepare.New(), events.Features: features.New(), events.Train: train.New(),
		events.Tune: tune.New(), events.Register: register.New(),
	} {
		found, err := stage.FromEnv(map[string]string{
			"K_SINK": p.server.URL + brokerPath, "REFIT_S3_ENDPOINT": p.objects.URL(),
			"AWS_ACCESS_KEY_ID": token, "AWS_SECRET_ACCESS_KEY": token,
			"REFIT_LAUNCHER_URL": p.server.URL, "MLFLOW_TRACKING_URI": p.server.URL,
		})
		if err != nil {
			return err
		}
		found.Emitter = p
		if err := f.StartOn(ctx, found); err != nil {
			return err
		}
		p.mux.Handle("/"+string(s)+"/", http.StripPrefix("/"+string(s), f))
	}
	return nil
}

// Emit takes what a function says. An event of prepare's names the one that it
// answers as its cause.
func (p *platform) Emit(ctx context.Context, e event.Event) error {
	if err := p.broker.Send(ctx, e); err != nil {
		return err
	}
	p.heard(events.Extension(e, events.ExtCausationID))
	return nil
}

func (p *platform) run() {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = p.broker.Run(ctx) })
	p.end = func() {
		cancel()
		running.Wait()
	}
}

// settle waits until all triggers have brought what they had and answers how
// many events the journal has.
func (p *platform) settle(ctx context.Context) (uint64, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		backlog, err := p.broker.Backlog(ctx)
		if err != nil {
			return 0, err
		}
		left := 0
		for _, b := range backlog {
			left += b.Waiting + b.Underway
		}
		if left == 0 {
			return p.recorded(ctx)
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("%d events are still underway: %w", left, ctx.Err())
		case <-tick.C:
		}
	}
}

// recorded is how many events the journal has.
func (p *platform) recorded(ctx context.Context) (uint64, error) {
	stream, err := p.bus.JetStream().Stream(ctx, journal.Stream)
	if err != nil {
		return 0, err
	}
	return stream.CachedInfo().State.Msgs, nil
}

func (p *platform) close() error {
	p.end()
	p.server.CloseClientConnections()
	p.server.Close()
	var errs []error
	if p.objects != nil {
		errs = append(errs, p.objects.Close())
	}
	if p.bus != nil {
		errs = append(errs, p.bus.Close())
	}
	return errors.Join(errs...)
}

// logTo makes the log a file, as that of a refit up that is left running is.
func logTo(dir string) (*os.File, error) {
	file, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(file, nil)))
	return file, nil
}
