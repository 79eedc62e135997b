package pod

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"k8s.io/klog/v2"

	"refit.dev/platform/receive"
	"refit.dev/platform/serve"
	"refit.dev/platform/source"
	"refit.dev/platform/watch"
	"refit.dev/stage"
	"refit.dev/stage/store"
	"refit.dev/workload"
	"refit.dev/workload/kube"
	"refit.dev/workload/rayjob"
	"refit.dev/workload/trainjob"
)

// listTime is how long the first sweep waits for the workloads.
const listTime = 30 * time.Second

// Run runs a source until ctx is done, which is no error.
func Run(ctx context.Context, c Config) error {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	klog.SetSlogLogger(c.Logger) // what client-go logs by
	broker, err := stage.NewBroker(c.Sink)
	if err != nil {
		return fmt.Errorf("setting K_SINK: %w", err)
	}
	api, err := connect(c.Kubeconfig, c.Namespace)
	if err != nil {
		return err
	}
	client := c.S3.Client()
	state := store.NewS3(client, c.State)
	// The source tells the ends that the watcher sees, and the watcher knows the
	// workloads that the source sweeps.
	var s *source.Source
	w, err := watch.New(watch.Config{
		Client: api.objects, Namespace: c.Namespace, Kinds: []kube.Kind{rayjob.Kind{}, trainjob.Kind{}}, Logs: api.log,
		State: state, StateName: c.State, StuckAfter: c.StuckAfter, TTL: c.TTL, Logger: c.Logger,
		Ended: func(ctx context.Context, end workload.End) error { return s.Ended(ctx, end) },
	})
	if err != nil {
		return err
	}
	s = source.New(source.Config{
		State: state, Landing: store.NewS3(client, c.Landing), LandingName: c.Landing, Region: c.S3.Region,
		Send: broker.Emit, Workloads: w.Workloads, Every: c.Sweep, Logger: c.Logger,
	})
	return serve.Run(ctx, serve.Config{
		Address: c.Address, Handler: receive.Handler(receive.Config{Token: c.Token, Send: broker.Emit, Logger: c.Logger}),
		Ready: w.Ready, Logger: c.Logger,
	}, task(w.Run), task(func(ctx context.Context) {
		w.Await(ctx, listTime)
		s.Run(ctx)
	}))
}

// task makes a task of what runs until its context is done.
func task(run func(context.Context)) func(context.Context) error {
	return func(ctx context.Context) error {
		run(ctx)
		return nil
	}
}
