package service

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// Command is what to run.
type Command struct {
	// Args are the program, as an absolute path, and its arguments.
	Args []string
	// Env is the whole environment, as NAME=value: nothing is inherited.
	Env []string
}

// Config says which program is run and how. Name, Dir, Command and Check are
// needed.
type Config struct {
	// Name is for files and messages, such as "mlflow".
	Name string
	// Dir holds <Name>.json, the record, and <Name>.log, what the program wrote.
	// It is made if it is missing and is the program's working directory.
	Dir string
	// Command makes the command for one start of the program. scratch is a
	// private folder with a short path, which is removed after the end.
	Command func(scratch string) (Command, error)
	// Identity changes when a running program of an earlier start cannot be
	// used any more, because ports or settings differ. An empty one means never
	// to go on with an earlier program.
	Identity string
	// Addresses are where the server will listen, as host:port. A start fails
	// while another program is there, which could answer in its place.
	Addresses []string
	// Check returns nil if the server answers. See Answers.
	Check func(context.Context) error
	// Grace is what the program has to end by itself before it is killed; 0
	// kills it at once.
	Grace time.Duration
	// Restarts is how often the program is started again when it dies before it
	// ran for a minute; 0 means 5, a negative number never.
	Restarts int
	// ScratchRoot is where scratch folders are made; empty means /tmp, since
	// paths of sockets must be short.
	ScratchRoot string
	// Logger gets what happens; nil discards it.
	Logger *slog.Logger
}

// withDefaults returns a copy with the defaults filled in.
func (c Config) withDefaults() Config {
	if c.Restarts == 0 {
		c.Restarts = 5
	}
	if c.ScratchRoot == "" {
		c.ScratchRoot = "/tmp"
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Logger = c.Logger.With("service", c.Name)
	return c
}

// validate says what is missing.
func (c Config) validate() error {
	if c.Name == "" || c.Dir == "" || c.Command == nil || c.Check == nil {
		return errors.New("service: Name, Dir, Command and Check must be set")
	}
	return nil
}
