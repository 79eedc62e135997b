package small

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"refit.dev/events"
	"refit.dev/test/clustertest/canned"
)

// judge logs a model to MLflow and compares its F1 with the champion's, as the
// evaluation does. A model below every threshold needs no MLflow.
func (a *attempt) judge(ctx context.Context) (events.Figures, error) {
	f1, err := a.f1()
	if err != nil || f1 <= canned.F1 {
		return nil, err
	}
	champion, err := a.champion(ctx, f1)
	if err != nil {
		return nil, err
	}
	run, model, err := a.logModel(ctx)
	if err != nil {
		return nil, err
	}
	return events.Figures{
		"f1": f1, "mlflow_experiment_id": "0", "mlflow_run_id": run, "mlflow_model_id": model, "model_uri": "models:/" + model,
		"champion": champion,
	}, nil
}

// champion compares with the model that is champion now.
func (a *attempt) champion(ctx context.Context, f1 float64) (map[string]any, error) {
	var found struct {
		Version struct {
			Version string
			Tags    []struct{ Key, Value string }
		} `json:"model_version"`
	}
	if err := ask(ctx, http.MethodGet, "registered-models/alias?name="+a.Parameters.ModelName+"&alias=champion", nil, &found); err != nil {
		return nil, err
	}
	known := map[string]any{"version": found.Version.Version, "rows": 0, "delta": 0, "delta_low": 0, "delta_high": 0, "better": false, "reason": "there is none"}
	for _, tag := range found.Version.Tags {
		if tag.Key != "refit.f1" {
			continue
		}
		than, err := strconv.ParseFloat(tag.Value, 64)
		if err != nil {
			return nil, fmt.Errorf("F1 of version %s: %w", found.Version.Version, err)
		}
		known["better"], known["reason"] = f1 > than, fmt.Sprintf("F1 %.4f against %.4f", f1, than)
	}
	return known, nil
}

// logModel makes an MLflow run with a logged model.
func (a *attempt) logModel(ctx context.Context) (run, model string, err error) {
	var started struct {
		Run struct {
			Info struct {
				ID string `json:"run_id"`
			}
		}
	}
	if err := ask(ctx, http.MethodPost, "runs/create", map[string]any{"experiment_id": "0", "run_name": a.Run}, &started); err != nil {
		return "", "", err
	}
	var logged struct {
		Model struct {
			Info struct {
				ID string `json:"model_id"`
			}
		}
	}
	run = started.Run.Info.ID
	err = ask(ctx, http.MethodPost, "logged-models", map[string]any{"experiment_id": "0", "name": "model", "source_run_id": run}, &logged)
	return run, logged.Model.Info.ID, err
}

// ask asks MLflow, again and again while it is away. What MLflow does not have
// leaves into as it is.
func ask(ctx context.Context, method, path string, body, into any) error {
	payload, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	answer, err := patiently(ctx, func() ([]byte, error) { return once(ctx, method, path, payload) })
	if err != nil {
		return fmt.Errorf("ask MLflow %s %s: %w", method, path, err)
	}
	return json.Unmarshal(answer, into)
}

func once(ctx context.Context, method, path string, payload []byte) ([]byte, error) {
	url := strings.TrimSuffix(os.Getenv("MLFLOW_TRACKING_URI"), "/") + "/api/2.0/mlflow/" + path
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(payload)) //nolint:gosec // the platform says where its MLflow is
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request) //nolint:gosec // as above
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return nil, err
	case response.StatusCode == http.StatusOK:
		return answer, nil
	case method == http.MethodGet && response.StatusCode < http.StatusInternalServerError:
		return []byte("{}"), nil // MLflow knows no such model or alias
	}
	return nil, fmt.Errorf("%s: %s", response.Status, answer)
}
