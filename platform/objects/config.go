package objects

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
)

// Config says where a [Store] keeps its objects, where it listens and what it
// announces.
type Config struct {
	// Dir is the folder of the objects; it is made with mode 0700. Required.
	Dir string
	// Host is the address to listen on, a loopback address. Default 127.0.0.1.
	Host string
	// Open lets other machines connect: Host may then be any address of this
	// one, such as 0.0.0.0.
	Open bool
	// Port is the port to listen on; 0 picks a free one.
	Port int
	// AccessKey and SecretKey are the one account. Required: the caller makes
	// them and keeps the secret out of logs.
	AccessKey, SecretKey string
	// Region is the region that clients must name. Default us-east-1.
	Region string
	// Buckets are made at the start where they are missing.
	Buckets []string
	// Notify hears of every new object in NotifyBuckets, in time: the writer
	// gets its answer afterwards. An error answers the writer 503 SlowDown, so
	// that it tries again; the object is there all the same, and a conditional
	// write (If-None-Match) then finds its own object and fails with 412. So
	// whoever lists the bucket must bear objects without an event, and Notify
	// must bear being called twice. It is called from many goroutines.
	Notify func(context.Context, Notification) error
	// NotifyBuckets are the buckets that Notify hears of.
	NotifyBuckets []string
	// Logger gets failed notifications. Default: nothing is logged.
	Logger *slog.Logger
}

// WithDefaults returns a copy of c with every unset field at its default.
func (c Config) WithDefaults() Config {
	if c.Host == "" {
		c.Host = "127.0.0.1"
	}
	if c.Region == "" {
		c.Region = "us-east-1"
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c Config) validate() error {
	switch ip := net.ParseIP(c.Host); {
	case c.Dir == "":
		return errors.New("objects: Dir is empty: name the folder of the objects")
	case c.AccessKey == "" || c.SecretKey == "":
		return errors.New("objects: AccessKey or SecretKey is empty: a store without them is open to every user of the machine")
	case ip == nil || !ip.IsLoopback() && !c.Open:
		return fmt.Errorf("objects: Host %q is not a loopback address: accepted are addresses such as 127.0.0.1 and ::1", c.Host)
	case c.Port < 0 || c.Port > 65535:
		return fmt.Errorf("objects: Port %d: accepted are 0 (pick one) to 65535", c.Port)
	case len(c.NotifyBuckets) > 0 && c.Notify == nil:
		return errors.New("objects: NotifyBuckets without Notify")
	}
	return nil
}
