package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"refit.dev/events"
	"refit.dev/functions/features"
	"refit.dev/functions/prepare"
	"refit.dev/functions/register"
	"refit.dev/functions/train"
	"refit.dev/functions/tune"
	"refit.dev/platform/broker"
	"refit.dev/stage"
	"refit.dev/workload/process"
)

// functions are the five functions, by stage.
func functions() map[events.Stage]*stage.Function {
	return map[events.Stage]*stage.Function{
		events.Prepare:  prepare.New(),
		events.Features: features.New(),
		events.Train:    train.New(),
		events.Tune:     tune.New(),
		events.Register: register.New(),
	}
}

// serve opens the port of the broker, the journal, the launcher and the
// functions that are mounted in process.
func (h *Host) serve(ctx context.Context) error {
	h.mux.Handle("POST "+brokerPath, h.broker)
	h.mux.Handle(journalPath+"/", http.StripPrefix(journalPath, h.journal.Handler()))
	h.mux.Handle(launcherPath+"/", http.StripPrefix(launcherPath, process.Handler(h.manager, h.secrets.Launcher)))
	if err := h.mount(ctx); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", h.c.address(h.c.Ports.Broker))
	if err != nil {
		return fmt.Errorf("open the broker's port: %w", err)
	}
	h.server = &http.Server{Handler: h.mux, ReadHeaderTimeout: 10 * time.Second}
	h.running.Go(func() {
		if err := h.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			h.failed <- fmt.Errorf("broker's port: %w", err)
		}
	})
	h.onClose(h.server.Shutdown)
	return nil
}

// mount serves each function that has no process of its own.
func (h *Host) mount(ctx context.Context) error {
	for s, f := range functions() {
		if h.c.Functions[string(s)] != "" {
			continue
		}
		platform, err := stage.FromEnv(h.FunctionEnv())
		if err != nil {
			return fmt.Errorf("start function %s: %w", s, err)
		}
		platform.Emitter = emitter{h.broker}
		if err := f.StartOn(ctx, platform); err != nil {
			return err
		}
		path := functionsPath + string(s)
		h.mux.Handle(path+"/", http.StripPrefix(path, f))
	}
	return nil
}

// emitter hands what a mounted function says to the broker, without the network.
type emitter struct{ broker *broker.Broker }

// Emit returns when the event is stored.
func (e emitter) Emit(ctx context.Context, said event.Event) error { return e.broker.Send(ctx, said) }

// FunctionEnv are the settings of a function on this platform, mounted or in a
// process of its own.
func (h *Host) FunctionEnv() map[string]string {
	c := h.Connection()
	return map[string]string{
		"K_SINK":                c.Broker,
		"REFIT_S3_ENDPOINT":     c.S3.Endpoint,
		"REFIT_S3_REGION":       c.S3.Region,
		"AWS_ACCESS_KEY_ID":     c.S3.AccessKey,
		"AWS_SECRET_ACCESS_KEY": c.S3.SecretKey,
		"REFIT_BUCKET":          c.S3.State,
		"REFIT_LANDING_BUCKET":  c.S3.Landing,
		"REFIT_LAUNCHER":        "process",
		"REFIT_LAUNCHER_URL":    c.Launcher.URL,
		"REFIT_LAUNCHER_TOKEN":  c.Launcher.Token,
		"REFIT_COMMIT":          h.c.Commit,
		"REFIT_DEADLINE":        h.c.Deadline.String(),
		"MLFLOW_TRACKING_URI":   c.MLflow,
	}
}
