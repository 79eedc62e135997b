package stage_test

import (
	"context"
	"fmt"

	"refit.dev/events"
	"refit.dev/stage"
	"refit.dev/stage/stagetest"
	"refit.dev/workload"
)

// counting is a stage that goes on if its workload found any mail.
type counting struct{}

// Plan hands the uploaded object to the workload.
func (counting) Plan(_ context.Context, run *stage.Run) (events.Artifacts, error) {
	return events.Artifacts{"entity_data": run.Data.Artifact}, nil
}

// Complete judges the workload's figures.
func (counting) Complete(_ context.Context, run *stage.Run, result workload.Result) (stage.Decision, error) {
	var figures struct{ Kept int }
	if err := stage.Figures(result, &figures); err != nil {
		return stage.Decision{}, err
	}
	if figures.Kept == 0 {
		return stage.Decision{}, stage.Failf("NoMail", "nothing is left of %s: upload mail", run.Data.URI)
	}
	return stage.Completed(run, result), nil
}

// A function adds its Logic and nothing else.
func Example() {
	b := stagetest.New(stagetest.Example{}, stage.New(events.Prepare, counting{}), nil)
	for _, said := range b.HandleAll(b.Upload(stagetest.Key, "data", nil)) {
		fmt.Println(said.Type())
	}
	run := b.LaunchedRun()
	b.Handle(b.Succeed(run, events.Prepare, 1, prepared, "train"))
	fmt.Println(b.Sent.Take()[0].Type())
	// Output:
	// dev.refit.run.started
	// dev.refit.prepare.started
	// dev.refit.prepare.completed
}
