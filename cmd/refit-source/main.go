// Command refit-source is refit source alone: the part that is always on in a
// cluster, in a process of a quarter of the size.
package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"refit.dev/platform/source/pod"
)

func main() {
	if err := run(); err != nil {
		slog.Error("source ended", "error", err)
		os.Exit(1)
	}
}

func run() error {
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, nil)))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	c, err := pod.FromEnv(os.Getenv)
	if err != nil {
		return err
	}
	return pod.Run(ctx, c)
}
