// Package tune is the function that launches the search for better parameters
// on Ray Tune.
package tune

import (
	"context"

	"refit.dev/events"
	"refit.dev/stage"
	"refit.dev/workload"
)

// New returns the function.
func New() *stage.Function { return stage.New(events.Tune, logic{}) }

type logic struct{}

// Plan hands over the training matrix and the baseline's parameters, which are
// the first trial.
func (logic) Plan(_ context.Context, run *stage.Run) (events.Artifacts, error) {
	return run.Inputs("train_matrix", "baseline_choice")
}

// Complete checks that as many trials ran as were asked for.
func (logic) Complete(_ context.Context, run *stage.Run, result workload.Result) (stage.Decision, error) {
	if err := stage.Require(result, "tuned", "tuned_choice"); err != nil {
		return stage.Decision{}, err
	}
	var f struct{ Trials int }
	if err := stage.Figures(result, &f); err != nil {
		return stage.Decision{}, err
	}
	if f.Trials != run.Parameters.NumHPOTrials {
		return stage.Decision{}, stage.Failf("BadResult", "%d trials ran: num_hpo_trials is %d", f.Trials, run.Parameters.NumHPOTrials)
	}
	return stage.Completed(run, result), nil
}
