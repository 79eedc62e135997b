package journal_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"refit.dev/events"
	"refit.dev/platform/bus"
	"refit.dev/platform/journal"
)

func Example() {
	if err := recordAndFold(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output: r-20261123-060000-0a1b2c3d failed prepare: BadInput: column label is missing
}

func recordAndFold(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b, err := bus.Start(ctx, bus.Config{Dir: dir, Token: "example"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	j, err := journal.Open(ctx, b.JetStream())
	if err != nil {
		return err
	}

	const run = "r-20261123-060000-0a1b2c3d"
	e, err := events.Envelope{
		Type: events.Prepare.Failed(), Source: events.FunctionSource(events.Prepare), Run: run, Stage: events.Prepare, Key: "1", Time: time.Now(),
	}.Event(events.Failed{Run: run, Stage: events.Prepare, Attempt: 1, Reason: "BadInput", Message: "column label is missing"})
	if err != nil {
		return err
	}
	if err := j.Record(ctx, e); err != nil {
		return err
	}

	list, err := j.Events(ctx, journal.Filter{Run: run})
	for _, view := range journal.Fold(list) {
		fmt.Println(view.ID, view.State, view.Reason)
	}
	return err
}
