package cli

import (
	"context"
	"errors"
	"log/slog"

	"github.com/spf13/cobra"

	"refit.dev/platform/bus"
	"refit.dev/platform/serve"
)

type natsOptions struct {
	listen, health, data string
}

func (a *App) natsCommand() *cobra.Command {
	var o natsOptions
	cmd := a.serveCommand("nats", "Run NATS with JetStream, for development",
		`Run one NATS server with JetStream, for the journal of a cluster that has no
NATS. It keeps its store in --data, listens on every address and wants the
token of REFIT_NATS_TOKEN. It is not for production: there is one of it.`,
		"  REFIT_NATS_TOKEN=… refit nats --data /data",
		func(ctx context.Context) error { return a.nats(ctx, o) })
	cmd.Flags().StringVar(&o.listen, "listen", "0.0.0.0:4222", "address of NATS")
	cmd.Flags().StringVar(&o.health, "health", ":8080", "address of the probes")
	cmd.Flags().StringVar(&o.data, "data", "/data", "folder of the store")
	return cmd
}

func (a *App) nats(ctx context.Context, o natsOptions) error {
	s := serve.NewSettings(a.Getenv)
	c := bus.Config{Dir: o.data, Open: true, Token: s.Required("REFIT_NATS_TOKEN"), Logger: slog.Default()}
	var err error
	if c.Host, c.Port, err = hostAndPort(o.listen); errors.Join(err, s.Err()) != nil {
		return errors.Join(err, s.Err())
	}
	b, err := bus.Start(ctx, c)
	if err != nil {
		return err
	}
	err = serve.Run(ctx, serve.Config{Address: o.health, Ready: func() error {
		if !b.Conn().IsConnected() {
			return errors.New("the server does not answer")
		}
		return nil
	}})
	return errors.Join(err, b.Close())
}
