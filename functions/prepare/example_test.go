package prepare_test

import (
	"fmt"
	"strings"

	"refit.dev/events"
	"refit.dev/functions/prepare"
	"refit.dev/stage/stagetest"
)

// An event launches the workload; the event of its end completes the stage.
func Example() {
	b := stagetest.New(stagetest.Example{}, prepare.New(), nil)
	for _, e := range b.HandleAll(b.Upload("mail.parquet", "data", map[string]string{"refit-num-hpo-trials": "3"})) {
		fmt.Println(e.Type())
	}
	run := b.LaunchedRun()
	b.Handle(b.Succeed(run, events.Prepare, 1, b.Figures("testdata/figures.json", nil), "train", "test", "entities", "report"))
	fmt.Println(strings.Join(b.Sent.Types(), " "))
	// Output:
	// dev.refit.run.started
	// dev.refit.prepare.started
	// dev.refit.prepare.completed
}
