package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"

	"github.com/spf13/cobra"

	"refit.dev/platform/objects"
	"refit.dev/platform/receive"
	"refit.dev/platform/serve"
)

type objectsOptions struct {
	listen, health, data string
}

func (a *App) objectsCommand() *cobra.Command {
	var o objectsOptions
	cmd := a.serveCommand("objects", "Run an S3 store that notifies, for development",
		`Run an S3 endpoint with the buckets of REFIT_BUCKET and REFIT_LANDING_BUCKET,
which it makes, and the account of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
Each new object of the landing bucket is posted to REFIT_NOTIFICATION_URL, with
the token of REFIT_NOTIFICATION_TOKEN, before its writer gets an answer. It is
not for production: there is one of it, and it keeps plain files in --data.`,
		"  REFIT_NOTIFICATION_URL=http://source/notifications refit objects --data /data",
		func(ctx context.Context) error { return a.objects(ctx, o) })
	cmd.Flags().StringVar(&o.listen, "listen", "0.0.0.0:8490", "address of S3")
	cmd.Flags().StringVar(&o.health, "health", ":8080", "address of the probes")
	cmd.Flags().StringVar(&o.data, "data", "/data", "folder of the objects")
	return cmd
}

func (a *App) objects(ctx context.Context, o objectsOptions) error {
	s := serve.NewSettings(a.Getenv)
	landing := s.Optional("REFIT_LANDING_BUCKET", "landing")
	c := objects.Config{
		Dir: o.data, Open: true, Region: s.Optional("REFIT_S3_REGION", "us-east-1"), Logger: slog.Default(),
		AccessKey: s.Required("AWS_ACCESS_KEY_ID"), SecretKey: s.Required("AWS_SECRET_ACCESS_KEY"),
		Buckets: []string{s.Optional("REFIT_BUCKET", "refit"), landing}, NotifyBuckets: []string{landing},
	}
	notifier := &receive.Client{URL: s.Required("REFIT_NOTIFICATION_URL"), Token: s.Required("REFIT_NOTIFICATION_TOKEN")}
	c.Notify = func(ctx context.Context, n objects.Notification) error { return notifier.Post(ctx, n) }
	var err error
	if c.Host, c.Port, err = hostAndPort(o.listen); errors.Join(err, s.Err()) != nil {
		return errors.Join(err, s.Err())
	}
	store, err := objects.Start(ctx, c)
	if err != nil {
		return err
	}
	err = serve.Run(ctx, serve.Config{Address: o.health}, func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return nil
		case <-store.Done():
			return errors.New("the object store ended by itself")
		}
	})
	return errors.Join(err, store.Close())
}

// hostAndPort splits an address to listen on.
func hostAndPort(address string) (string, int, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("address %q: accepted is an address such as 0.0.0.0:4222: %w", address, err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return "", 0, fmt.Errorf("address %q: the port is no number", address)
	}
	if host == "" {
		host = "0.0.0.0"
	}
	return host, number, nil
}
