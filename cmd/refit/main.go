// Command refit turns an upload of labelled mail into a registered spam
// detector, or says why not. See refit --help.
package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"refit.dev/cli"
	"refit.dev/platform/host"
)

func main() {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	os.Exit(cli.Execute(context.Background(), cli.App{
		Out: os.Stdout, Err: os.Stderr,
		OutTerminal: term.IsTerminal(int(os.Stdout.Fd())), ErrTerminal: term.IsTerminal(int(os.Stderr.Fd())),
		Width:   width,
		Signals: signals,
		Start:   start,
	}, os.Args[1:]))
}

// start is host.Start; a failed one must not become a Running that is not nil.
// What logs without a logger of its own must not write into the view of a run.
func start(ctx context.Context, c host.Config) (cli.Running, error) {
	slog.SetDefault(c.Logger)
	h, err := host.Start(ctx, c)
	if err != nil {
		return nil, err
	}
	return h, nil
}

// width is the width of the terminal that remarks go to.
func width() int {
	columns, _, err := term.GetSize(int(os.Stderr.Fd()))
	if err != nil || columns < 20 {
		return 120
	}
	return columns
}
