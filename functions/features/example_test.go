package features_test

import (
	"fmt"
	"strings"

	"refit.dev/events"
	"refit.dev/functions/features"
	"refit.dev/stage/stagetest"
)

// An event launches the workload; the event of its end completes the stage.
func Example() {
	b := stagetest.New(stagetest.Example{}, features.New(), nil)
	run := b.Run(nil)
	b.Handle(b.Completed(run, events.Prepare, events.Figures{"train_rows": 2, "test_rows": 1}, "train", "test", "entities"))
	fmt.Println(strings.Join(b.Sent.Types(), " "))
	b.Handle(b.Succeed(run, events.Features, 1, b.Figures("testdata/figures.json", nil), "train_matrix", "test_matrix", "tfidf", "senders"))
	fmt.Println(strings.Join(b.Sent.Types(), " "))
	// Output:
	// dev.refit.features.started
	// dev.refit.features.completed
}
