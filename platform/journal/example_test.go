package journal_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"refit.dev/events"
	"refit.dev/platform/bus"
	"refit.dev/platform/journal"
)

func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	b, err := bus.Start(ctx, bus.Config{Dir: dir, Token: "example"})
	if err != nil {
		log.Fatal(err)
	}
	defer b.Close()

	j, err := journal.Open(ctx, b.JetStream())
	if err != nil {
		log.Fatal(err)
	}
	const run = "r-20261123-060000-0a1b2c3d"
	e, err := events.Envelope{
		Type: events.Prepare.Failed(), Source: events.FunctionSource(events.Prepare), Run: run, Stage: events.Prepare, Key: "1", Time: time.Now(),
	}.Event(events.Failed{Run: run, Stage: events.Prepare, Attempt: 1, Reason: "BadInput", Message: "column label is missing"})
	if err != nil {
		log.Fatal(err)
	}
	if err := j.Record(ctx, e); err != nil {
		log.Fatal(err)
	}

	list, err := j.Events(ctx, journal.Filter{Run: run})
	if err != nil {
		log.Fatal(err)
	}
	for _, view := range journal.Fold(list) {
		fmt.Println(view.ID, view.State, view.Reason)
	}
	// Output: r-20261123-060000-0a1b2c3d failed prepare: BadInput: column label is missing
}
