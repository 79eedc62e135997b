// Package features is the function that launches the retrieval of the 524
// features of each mail from Feast.
package features

import (
	"context"

	"refit.dev/events"
	"refit.dev/stage"
	"refit.dev/workload"
)

// columns is how many features five views give.
const columns = 524

// New returns the function.
func New() *stage.Function { return stage.New(events.Features, logic{}) }

type logic struct{}

// Plan hands over the mail and the entities to join the features to.
func (logic) Plan(_ context.Context, run *stage.Run) (events.Artifacts, error) {
	return run.Inputs("train", "test", "entities")
}

// Complete checks that every mail came back from the join once, with every
// feature.
func (logic) Complete(_ context.Context, run *stage.Run, result workload.Result) (stage.Decision, error) {
	if err := stage.Require(result, "train_matrix", "test_matrix", "tfidf", "senders"); err != nil {
		return stage.Decision{}, err
	}
	var f struct {
		Columns   int
		TrainRows int `json:"train_rows"`
		TestRows  int `json:"test_rows"`
	}
	if err := stage.Figures(result, &f); err != nil {
		return stage.Decision{}, err
	}
	if f.Columns != columns {
		return stage.Decision{}, stage.Failf("BadResult", "the matrix has %d columns: expected %d", f.Columns, columns)
	}
	prepared := run.Figures[events.Prepare]
	if prepared["train_rows"] != float64(f.TrainRows) || prepared["test_rows"] != float64(f.TestRows) {
		return stage.Decision{}, stage.Failf("BadResult",
			"the join gave %d train and %d test rows: expected %v and %v", f.TrainRows, f.TestRows, prepared["train_rows"], prepared["test_rows"])
	}
	return stage.Completed(run, result), nil
}
