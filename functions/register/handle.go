// Package register is the function that launches the evaluation, gates on F1
// and registers the model, or says why not.
package register

import (
	"context"
	"fmt"

	"refit.dev/events"
	"refit.dev/functions/register/registry"
	"refit.dev/stage"
	"refit.dev/workload"
)

// New returns the function.
func New() *stage.Function { return stage.New(events.Register, &logic{}) }

type logic struct {
	registrar registrar
}

// Start connects to the model registry that MLFLOW_TRACKING_URI names.
func (l *logic) Start(_ context.Context, p stage.Platform) error {
	models, err := registry.New(p.Env)
	if err != nil {
		return err
	}
	l.registrar = registrar{models: models, platform: p}
	return nil
}

// Plan hands over both candidates and, here only, the test split.
func (l *logic) Plan(_ context.Context, run *stage.Run) (events.Artifacts, error) {
	inputs, err := run.Inputs("entities", "report", "train_matrix", "test_matrix", "tfidf", "senders",
		"baseline", "baseline_choice", "tuned", "tuned_choice")
	if err == nil {
		run.Optional(inputs, "test_raw", "trials")
	}
	return inputs, err
}

// Complete gates: the winner's F1 on the test split against f1_threshold.
func (l *logic) Complete(ctx context.Context, run *stage.Run, result workload.Result) (stage.Decision, error) {
	var f evaluation
	if err := stage.Figures(result, &f); err != nil {
		return stage.Decision{}, err
	}
	model := events.Model{
		Run: run.ID, Attempt: run.Attempt, Name: run.Parameters.ModelName, F1: f.F1, Threshold: run.Parameters.F1Threshold,
		Figures: result.Figures, Artifacts: result.Artifacts, Log: run.Log, Link: l.registrar.link(f),
	}
	if f.F1 < run.Parameters.F1Threshold {
		model.Reason = fmt.Sprintf("F1 %.4f on %d test mails is below f1_threshold %v", f.F1, f.Rows, run.Parameters.F1Threshold)
		return stage.Decision{Type: events.ModelRejected, Data: model}, nil
	}
	model.Reason = fmt.Sprintf("F1 %.4f on %d test mails reaches f1_threshold %v", f.F1, f.Rows, run.Parameters.F1Threshold)
	if err := l.registrar.register(ctx, run, f, &model); err != nil {
		return stage.Decision{}, fmt.Errorf("register %s: %w", model.Name, err)
	}
	return stage.Decision{Type: events.ModelRegistered, Data: model}, nil
}
