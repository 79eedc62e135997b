package register

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"refit.dev/events"
	"refit.dev/functions/register/registry"
	"refit.dev/stage"
	"refit.dev/stage/store"
)

// evaluation is what the gate and the registration read of the figures.
type evaluation struct {
	F1           float64
	Rows         int
	Winner       string
	MLflowRunID  string `json:"mlflow_run_id"`
	ModelURI     string `json:"model_uri"`
	ModelID      string `json:"mlflow_model_id"`
	ExperimentID string `json:"mlflow_experiment_id"`
	Champion     struct {
		Version string
		Better  bool
		Reason  string
	}
}

// The aliases that a version gets.
const (
	champion   = "champion"
	challenger = "challenger"
)

// leaseTime bounds one registration. MLflow cannot compare and set, so just one
// holder of the model's lease changes it at a time, and gives up well before
// somebody else may take the lease over.
const (
	leaseTime    = 40 * time.Second
	registerTime = 20 * time.Second
)

// registrar gives a model that passed the gate its version and alias, once.
type registrar struct {
	models   *registry.Client
	platform stage.Platform
}

// register fills in the version and alias of model.
func (r registrar) register(ctx context.Context, run *stage.Run, f evaluation, model *events.Model) (err error) {
	ctx, cancel := context.WithTimeout(ctx, registerTime)
	defer cancel()
	holder := run.ID + "/" + strconv.Itoa(run.Attempt)
	lease, err := store.Acquire(ctx, r.platform.State, "locks/model/"+model.Name, holder, r.platform.Clock(), leaseTime)
	if err != nil {
		return err
	}
	defer func() {
		if released := lease.Release(ctx); err == nil {
			err = released
		}
	}()
	return r.registerHeld(ctx, run, f, model)
}

// registerHeld does it while the lease is held. What it did before it died last
// time it finds by the run's tag.
func (r registrar) registerHeld(ctx context.Context, run *stage.Run, f evaluation, model *events.Model) error {
	before, err := r.models.Champion(ctx, model.Name)
	if err != nil {
		return err
	}
	version, err := r.models.Find(ctx, model.Name, run.ID)
	if err != nil {
		return err
	}
	if changed(before, version, f) && run.Attempt < r.platform.Attempts {
		return &stage.RetryError{Reason: fmt.Sprintf("version %s became champion while this model was compared with version %s", before, quote(f.Champion.Version))}
	}
	if version == "" {
		if version, err = r.models.Create(ctx, r.version(run, f, model)); err != nil {
			return err
		}
	}
	model.Version = version
	model.Alias, model.AliasReason = alias(before, version, f)
	return r.models.SetAlias(ctx, model.Name, model.Alias, version)
}

// changed tells whether the champion is another than the evaluation compared
// with.
func changed(before, version string, f evaluation) bool {
	return before != version && before != f.Champion.Version
}

// alias decides between champion and challenger, and says why.
func alias(before, version string, f evaluation) (name, reason string) {
	switch {
	case before == "":
		return champion, "there was no champion"
	case before == version:
		return champion, "this version is the champion"
	case changed(before, version, f):
		return challenger, fmt.Sprintf("the champion changed to version %s at every attempt to compare", before)
	case f.Champion.Better:
		return champion, f.Champion.Reason
	default:
		return challenger, f.Champion.Reason
	}
}

func (r registrar) version(run *stage.Run, f evaluation, model *events.Model) registry.Version {
	return registry.Version{
		Model: model.Name, Source: f.ModelURI, ModelID: f.ModelID, MLflowRun: f.MLflowRunID, Run: run.ID,
		Tags: map[string]string{
			"refit.data":        run.Data.URI,
			"refit.data_digest": digest(run),
			"refit.image":       r.platform.Image,
			"refit.commit":      run.Commit,
			"refit.f1":          strconv.FormatFloat(f.F1, 'f', 4, 64),
			"refit.winner":      f.Winner,
		},
	}
}

// digest is the SHA-256 of the uploaded file, as prepare read it.
func digest(run *stage.Run) string {
	s, _ := run.Figures[events.Prepare]["data_digest"].(string)
	return s
}

// link is the page of the evaluation in MLflow.
func (r registrar) link(f evaluation) string {
	if f.ExperimentID == "" {
		return ""
	}
	base := strings.TrimSuffix(r.platform.Env[registry.EnvURI], "/")
	return base + "/#/experiments/" + f.ExperimentID + "/runs/" + f.MLflowRunID
}

func quote(version string) string {
	if version == "" {
		return "none"
	}
	return version
}
