// Package bus runs a NATS server with JetStream inside the process.
//
// It is the one-machine counterpart of the JetStream cluster behind a Knative
// broker: a file store that survives a killed process, a port on the loopback
// interface for other processes, and a connection that does not touch the
// network for this one.
//
// An acknowledged message has left the process and survives kill -9. The
// server asks the disk for a sync once in two minutes, so a loss of power may
// take the last messages with it; syncing every message costs a factor of
// sixty and is not offered.
package bus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// startTimeout bounds the wait for the server: recovering a store takes
// milliseconds for a stream of this size, so a longer wait is a failure.
const startTimeout = 30 * time.Second

// Bus is a running server and this process's connection to it.
type Bus struct {
	server *server.Server
	conn   *nats.Conn
	js     jetstream.JetStream
	dir    string
	unlock func()
}

// Start runs a server on c.Dir and connects to it. It returns when the store
// is recovered and the port is open; ctx bounds that wait and nothing else.
func Start(ctx context.Context, c Config) (*Bus, error) {
	c = c.WithDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("bus: make the store's folder: %w", err)
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("bus: find the store's folder: %w", err)
	}
	// Two servers on one store ruin it, and the server does not look.
	unlock, err := lock(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("bus: the store %s is in use by another process: %w", dir, err)
	}
	s, err := serve(ctx, c, dir)
	if err != nil {
		unlock()
		return nil, err
	}
	b, err := connect(s, c.Token)
	if err != nil {
		s.Shutdown()
		s.WaitForShutdown()
		unlock()
		return nil, err
	}
	b.dir, b.unlock = dir, unlock
	return b, nil
}

// Conn is the in-process connection. It is closed by [Bus.Close].
func (b *Bus) Conn() *nats.Conn { return b.conn }

// JetStream is the JetStream context of [Bus.Conn].
func (b *Bus) JetStream() jetstream.JetStream { return b.js }

// storageExceeded is the server's code for streams larger than its disk.
const storageExceeded = 10047

// Explain adds the remedy to an error about too small a disk.
func (b *Bus) Explain(err error) error {
	var refused *jetstream.APIError
	if errors.As(err, &refused) && refused.ErrorCode == storageExceeded {
		return fmt.Errorf("the disk of %s has too little free space for events: make room, or use a folder elsewhere: %w", b.dir, err)
	}
	return err
}

// URL is where other processes connect, without the token.
func (b *Bus) URL() string { return b.server.ClientURL() }

// Close drains the in-process connection, stops the server and waits for both.
// Messages that were acknowledged before stay in the store.
func (b *Bus) Close() error {
	closed := b.conn.StatusChanged(nats.CLOSED)
	err := b.conn.Drain()
	if err == nil {
		<-closed
	}
	b.server.Shutdown()
	b.server.WaitForShutdown()
	b.unlock()
	if err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		return fmt.Errorf("bus: drain the connection: %w", err)
	}
	return nil
}

func serve(ctx context.Context, c Config, dir string) (*server.Server, error) {
	s, err := server.NewServer(&server.Options{
		ServerName:    "refit",
		Host:          c.Host,
		Port:          c.Port,
		Authorization: c.Token,
		JetStream:     true,
		StoreDir:      dir,
		NoSigs:        true,
	})
	if err != nil {
		return nil, fmt.Errorf("bus: configure the server: %w", err)
	}
	log := &serverLog{Logger: c.Logger, failed: make(chan string, 1)}
	s.SetLoggerV2(log, false, false, false)
	s.Start()
	if err := ready(ctx, s, log.failed); err != nil {
		s.Shutdown()
		s.WaitForShutdown()
		return nil, fmt.Errorf("bus: start on %s with the store %s: %w", net.JoinHostPort(c.Host, strconv.Itoa(c.Port)), dir, err)
	}
	return s, nil
}

// ready waits until the server takes connections. The server reports a port in
// use to its log alone, so that is watched as well.
func ready(ctx context.Context, s *server.Server, failed <-chan string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("the server is not ready after %s", startTimeout))
	defer cancel()
	for {
		open := s.ReadyForConnections(100 * time.Millisecond)
		select {
		case message := <-failed:
			return errors.New(message)
		case <-ctx.Done():
			return context.Cause(ctx)
		default:
		}
		if open {
			return nil
		}
	}
}

func connect(s *server.Server, token string) (*Bus, error) {
	conn, err := nats.Connect("", nats.InProcessServer(s), nats.Token(token), nats.Name("refit"), nats.MaxReconnects(-1))
	if err != nil {
		return nil, fmt.Errorf("bus: connect in process: %w", err)
	}
	js, err := jetstream.New(conn)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("bus: make a JetStream context: %w", err)
	}
	return &Bus{server: s, conn: conn, js: js}, nil
}
