package register_test

import (
	"fmt"
	"strings"

	"refit.dev/stage/stagetest"
)

// An event launches the workload; the event of its end completes the stage.
func Example() {
	b := setup(stagetest.Example{}, nil)
	defer b.models.Close()
	b.tuned()()
	fmt.Println(strings.Join(b.Sent.Types(), " "))
	b.evaluated(1, nil)
	fmt.Println(strings.Join(b.Sent.Types(), " "))
	// Output:
	// dev.refit.register.started
	// dev.refit.model.registered
}
