package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Defaults of [Config].
const (
	DefaultConcurrency = 8
	DefaultAckWait     = 10 * time.Second
)

// headRoom is what a stored message needs beside the event: its headers.
const headRoom = 1 << 10

// Config is what a [Broker] needs.
type Config struct {
	// Manifests are the Broker and its Triggers. Required.
	Manifests *Manifests
	// Resolve answers the base URL of the object that a subscriber or a dead
	// letter sink refers to, such as ("Service", "prepare"). Required where a
	// trigger has a ref.
	Resolve func(kind, name string) (string, error)
	// Local answers the handler of what this process serves itself at host, such
	// as 127.0.0.1:8480; requests to it do not take the network. Nil, or a nil
	// handler: they do.
	Local func(host string) http.Handler
	// JetStream holds the stream and the consumers. Required.
	JetStream jetstream.JetStream
	// Logger gets failed deliveries. Default: nothing is logged.
	Logger *slog.Logger

	// MaxAge and MaxBytes end the retention of events; the first that is
	// reached counts. Unset: what the Broker's annotation
	// natsjetstream.eventing.knative.dev/config says.
	MaxAge   time.Duration
	MaxBytes int64
	// MaxEventBytes is the largest event that is taken, in structured JSON.
	// Default and limit: what a NATS message can carry, about 1 MB.
	MaxEventBytes int
	// Concurrency is how many events of one trigger are delivered at a time.
	// Order is not promised, not even with 1. Default 8.
	Concurrency int
	// AckWait is how long an event waits for another delivery when the process
	// that had it died. A slow delivery is kept alive and may take longer.
	// Default 10 s, at least 1 s.
	AckWait time.Duration
}

// WithDefaults returns a copy of c with every unset field at its default.
func (c Config) WithDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Concurrency == 0 {
		c.Concurrency = DefaultConcurrency
	}
	if c.AckWait == 0 {
		c.AckWait = DefaultAckWait
	}
	if c.MaxEventBytes == 0 && c.JetStream != nil {
		c.MaxEventBytes = c.frame()
	}
	return c
}

// frame is how large an event can be in a message of the server.
func (c Config) frame() int { return int(c.JetStream.Conn().MaxPayload()) - headRoom }

func (c Config) validate() error {
	switch {
	case c.Manifests == nil || c.Manifests.Broker == nil:
		return errors.New("broker: Manifests is empty: load them with Load")
	case c.JetStream == nil:
		return errors.New("broker: JetStream is nil")
	case c.MaxEventBytes < 0 || c.MaxEventBytes > c.frame():
		return fmt.Errorf("broker: MaxEventBytes %d: accepted are 1 to %d, what the NATS server takes", c.MaxEventBytes, c.frame())
	case c.Concurrency < 1:
		return fmt.Errorf("broker: Concurrency %d: accepted are 1 and more", c.Concurrency)
	case c.AckWait < time.Second:
		return fmt.Errorf("broker: AckWait %s: accepted are 1s and more", c.AckWait)
	case c.MaxAge < 0 || c.MaxBytes < 0:
		return fmt.Errorf("broker: MaxAge %s, MaxBytes %d: accepted are 0 (as the manifest says) and more", c.MaxAge, c.MaxBytes)
	}
	return nil
}
