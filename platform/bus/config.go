package bus

import (
	"errors"
	"fmt"
	"log/slog"
	"net"

	"github.com/nats-io/nats-server/v2/server"
)

// Config says where a [Bus] keeps its data and where it listens.
type Config struct {
	// Dir is the folder of the file store; it is made with mode 0700. Only one
	// bus at a time may use it. Required.
	Dir string
	// Host is the address to listen on, a loopback address. Default 127.0.0.1.
	Host string
	// Open lets other machines connect: Host may then be any address of this
	// one, such as 0.0.0.0.
	Open bool
	// Port is the port to listen on; 0 or -1 picks a free one.
	Port int
	// Token is what every connection must present. Required: the caller makes
	// it and keeps it out of logs.
	Token string
	// Logger gets the server's log. Default: nothing is logged.
	Logger *slog.Logger
}

// WithDefaults returns a copy of c with every unset field at its default.
func (c Config) WithDefaults() Config {
	if c.Host == "" {
		c.Host = "127.0.0.1"
	}
	if c.Port == 0 {
		c.Port = server.RANDOM_PORT
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c Config) validate() error {
	if c.Dir == "" {
		return errors.New("bus: Dir is empty: name the folder of the store")
	}
	if c.Token == "" {
		return errors.New("bus: Token is empty: a bus without a token is open to every user of the machine")
	}
	if ip := net.ParseIP(c.Host); ip == nil || !ip.IsLoopback() && !c.Open {
		return fmt.Errorf("bus: Host %q is not a loopback address: accepted are addresses such as 127.0.0.1 and ::1", c.Host)
	}
	if c.Port < server.RANDOM_PORT || c.Port > 65535 {
		return fmt.Errorf("bus: Port %d: accepted are 0 (pick one) to 65535", c.Port)
	}
	return nil
}
