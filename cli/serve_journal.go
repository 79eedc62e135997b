package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"refit.dev/platform/journal"
	"refit.dev/platform/serve"
)

func (a *App) journalCommand() *cobra.Command {
	var address string
	cmd := a.serveCommand("journal", "Keep every event in JetStream",
		`Take the events of a Trigger by POST to / and those that could not be delivered
by POST to /dead-letter, and answer when JetStream has them. The stream is made
when NATS is there; until then, and whenever NATS is away, senders are told to
come again.

Settings: REFIT_NATS_URL; REFIT_NATS_TOKEN if the server wants one; PORT.`,
		"  REFIT_NATS_URL=nats://nats:4222 refit journal",
		func(ctx context.Context) error { return a.serveJournal(ctx, address) })
	cmd.Flags().StringVar(&address, "listen", "", `address of events and probes (default ":" and PORT, or 8080)`)
	return cmd
}

func (a *App) serveJournal(ctx context.Context, address string) error {
	s := serve.NewSettings(a.Getenv)
	url, token := s.Required("REFIT_NATS_URL"), s.Optional("REFIT_NATS_TOKEN", "")
	if address == "" {
		address = ":" + s.Optional("PORT", "8080")
	}
	if err := s.Err(); err != nil {
		return err
	}
	conn, err := nats.Connect(url, nats.Token(token), nats.Name("refit-journal"), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1),
		nats.ReconnectWait(time.Second), nats.IgnoreAuthErrorAbort())
	if err != nil {
		return fmt.Errorf("connect to NATS: %w", err)
	}
	defer conn.Close()
	r := &recorder{conn: conn}
	return serve.Run(ctx, serve.Config{Address: address, Handler: r, Ready: r.ready}, r.keepOpen)
}

// recorder is a journal that is opened when NATS is there, and again when NATS
// came back: it may have lost its store.
type recorder struct {
	conn    *nats.Conn
	handler atomic.Pointer[http.Handler]
}

var errAway = errors.New("NATS is not there: the event was not recorded, send it again")

func (r *recorder) ready() error {
	if !r.conn.IsConnected() || r.handler.Load() == nil {
		return errAway
	}
	return nil
}

// ServeHTTP hands over to the journal.
func (r *recorder) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	if err := r.ready(); err != nil {
		w.Header().Set("Retry-After", "1")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	(*r.handler.Load()).ServeHTTP(w, request)
}

// keepOpen opens the journal now and at each reconnection, until ctx is done.
func (r *recorder) keepOpen(ctx context.Context) error {
	connected := r.conn.StatusChanged(nats.CONNECTED)
	defer r.conn.RemoveStatusListener(connected)
	for {
		if _, err := backoff.Retry(ctx, func() (struct{}, error) { return struct{}{}, r.open(ctx) },
			backoff.WithMaxElapsedTime(0), backoff.WithNotify(func(err error, wait time.Duration) {
				slog.WarnContext(ctx, "the journal cannot be opened, trying again", "error", err, "in", wait.String())
			})); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-connected:
		}
	}
}

func (r *recorder) open(ctx context.Context) error {
	if !r.conn.IsConnected() {
		return errors.Join(errors.New("NATS does not answer"), r.conn.LastError())
	}
	js, err := jetstream.New(r.conn)
	if err != nil {
		return err
	}
	opening, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	j, err := journal.Open(opening, js)
	if err != nil {
		return err
	}
	handler := j.Handler()
	r.handler.Store(&handler)
	slog.InfoContext(ctx, "journal open", "stream", journal.Stream)
	return nil
}
