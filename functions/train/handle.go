// Package train is the function that launches the baseline on Ray Train.
package train

import (
	"context"

	"refit.dev/events"
	"refit.dev/stage"
	"refit.dev/workload"
)

// New returns the function.
func New() *stage.Function { return stage.New(events.Train, logic{}) }

type logic struct{}

// Plan hands over the training matrix; the test matrix stays unseen.
func (logic) Plan(_ context.Context, run *stage.Run) (events.Artifacts, error) {
	return run.Inputs("train_matrix")
}

// Complete checks that there is a baseline trained by the workers asked for.
func (logic) Complete(_ context.Context, run *stage.Run, result workload.Result) (stage.Decision, error) {
	if err := stage.Require(result, "baseline", "baseline_choice"); err != nil {
		return stage.Decision{}, err
	}
	var f struct{ Workers int }
	if err := stage.Figures(result, &f); err != nil {
		return stage.Decision{}, err
	}
	if f.Workers != run.Parameters.NumWorkers {
		return stage.Decision{}, stage.Failf("BadResult", "%d workers trained the baseline: num_workers is %d", f.Workers, run.Parameters.NumWorkers)
	}
	return stage.Completed(run, result), nil
}
