// Package prepare is the function that turns an upload into a run: it claims
// the uploaded object, gives the event its verdict and launches the data
// preparation, which splits the mail into what is learnt from and what is
// judged on.
package prepare

import (
	"context"

	"refit.dev/events"
	"refit.dev/stage"
	"refit.dev/workload"
)

// New returns the function.
func New() *stage.Function { return stage.New(events.Prepare, logic{}) }

type logic struct{}

// Plan hands over the uploaded object, pinned to the version that was claimed.
func (logic) Plan(_ context.Context, run *stage.Run) (events.Artifacts, error) {
	return events.Artifacts{"entity_data": run.Data.Artifact}, nil
}

// Complete checks that every row is accounted for.
func (logic) Complete(_ context.Context, run *stage.Run, result workload.Result) (stage.Decision, error) {
	if err := stage.Require(result, "train", "test", "entities", "report"); err != nil {
		return stage.Decision{}, err
	}
	var f struct {
		Rows, Kept, Dropped int
		TrainRows           int `json:"train_rows"`
		TestRows            int `json:"test_rows"`
	}
	if err := stage.Figures(result, &f); err != nil {
		return stage.Decision{}, err
	}
	if f.Kept+f.Dropped != f.Rows || f.TrainRows+f.TestRows != f.Kept {
		return stage.Decision{}, stage.Failf("BadResult",
			"rows are missing: %d kept and %d dropped of %d, %d in train and %d in test", f.Kept, f.Dropped, f.Rows, f.TrainRows, f.TestRows)
	}
	return stage.Completed(run, result), nil
}
