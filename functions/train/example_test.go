package train_test

import (
	"fmt"
	"strings"

	"refit.dev/events"
	"refit.dev/functions/train"
	"refit.dev/stage/stagetest"
)

// An event launches the workload; the event of its end completes the stage.
func Example() {
	b := stagetest.New(stagetest.Example{}, train.New(), nil)
	run := b.Run(nil)
	before(b, run)()
	fmt.Println(strings.Join(b.Sent.Types(), " "))
	b.Handle(b.Succeed(run, events.Train, 1, b.Figures("testdata/figures.json", nil), "baseline", "baseline_choice"))
	fmt.Println(strings.Join(b.Sent.Types(), " "))
	// Output:
	// dev.refit.train.started
	// dev.refit.train.completed
}
