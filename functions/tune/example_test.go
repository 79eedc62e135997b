package tune_test

import (
	"fmt"
	"strings"

	"refit.dev/events"
	"refit.dev/functions/tune"
	"refit.dev/stage/stagetest"
)

// An event launches the workload; the event of its end completes the stage.
func Example() {
	b := stagetest.New(stagetest.Example{}, tune.New(), nil)
	run := b.Run(nil)
	before(b, run)()
	fmt.Println(strings.Join(b.Sent.Types(), " "))
	b.Handle(b.Succeed(run, events.Tune, 1, b.Figures("testdata/figures.json", nil), "tuned", "tuned_choice"))
	fmt.Println(strings.Join(b.Sent.Types(), " "))
	// Output:
	// dev.refit.tune.started
	// dev.refit.tune.completed
}
