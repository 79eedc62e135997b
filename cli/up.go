package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/spf13/cobra"

	"refit.dev/platform/host"
)

type upOptions struct {
	platform platformFlags
	quiet    bool
}

func (a *App) upCommand() *cobra.Command {
	var o upOptions
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start the platform on this machine and leave it running",
		Long: `Start the whole platform in this process: NATS with JetStream, an S3 endpoint, a
broker, the five functions, the journal and the launcher of workloads; beside it
MLflow and a Ray head. All of it listens on a loopback address and keeps its
data below --dir. Ctrl-C ends all of it, a second one at once.`,
		Example: `  refit up
  refit up --port-mlflow 5001 --deadline 30m
  refit up --functions-url train=http://127.0.0.1:9003`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.up(cmd.Context(), &o) },
	}
	o.platform.addTo(cmd)
	cmd.Flags().BoolVarP(&o.quiet, "quiet", "q", false, "log warnings only")
	return cmd
}

func (a *App) up(ctx context.Context, o *upOptions) error {
	if a.inCluster() {
		return usagef("refit up starts a platform on this machine: leave out --context %s and REFIT_CONTEXT (docs/on-your-cluster.md says how one comes into a cluster)", a.place.Context)
	}
	level := slog.LevelInfo
	if o.quiet {
		level = slog.LevelWarn
	}
	config, err := o.platform.resolve(a.dir, slog.New(slog.NewTextHandler(a.Err, &slog.HandlerOptions{Level: level})))
	if err != nil {
		return err
	}
	a.remarkf("starting the platform on %s", a.dir)
	host.LimitMemory()
	running, err := a.Start(ctx, config)
	if err != nil {
		return err
	}
	if err := a.tellPlaces(running); err != nil {
		return errors.Join(err, a.closePlatform(running))
	}
	why := a.serve(ctx, running)
	if why == nil {
		a.remarkf("ending the platform; Ctrl-C again leaves at once")
	}
	err = a.closePlatform(running)
	if why != nil {
		return errors.Join(fmt.Errorf("the platform ended by itself: %w", why), err)
	}
	if err == nil {
		a.remarkf("ended; the data stays in %s", a.dir)
	}
	return err
}

// serve waits until ctx ends, or returns earlier why the platform cannot go on.
// It says when MLflow and Ray are there too; that they never come is told by
// Wait.
func (a *App) serve(ctx context.Context, running Running) error {
	ctx, cancel := context.WithCancel(ctx)
	ready := make(chan error, 1)
	ended := make(chan error, 1)
	var waiting sync.WaitGroup
	waiting.Go(func() { ready <- running.Ready(ctx) })
	waiting.Go(func() { ended <- running.Wait(ctx) })
	defer waiting.Wait()
	defer cancel()
	for {
		select {
		case err := <-ready:
			if err == nil {
				a.remarkf("MLflow and Ray answer")
			}
			ready = nil
		case why := <-ended:
			return why
		}
	}
}

// tellPlaces says where to look, once the platform runs.
func (a *App) tellPlaces(running Running) error {
	list := places(running.Connection(), a.dir)
	if a.json {
		named := map[string]string{}
		for _, p := range list {
			named[p[0]] = p[1]
		}
		return a.printLine(named)
	}
	a.pairs(list)
	a.remarkf("ready for uploads and events, MLflow and Ray are starting; Ctrl-C ends the platform")
	return nil
}
