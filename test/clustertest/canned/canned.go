// Package canned holds results that each stage's function accepts, for runs in
// which nothing is computed.
package canned

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"

	"refit.dev/events"
)

// The mails that the results speak of.
const (
	trainRows = 480
	testRows  = 120
)

// F1 is below every f1_threshold that a run has by itself: a run of canned
// results ends in a rejected model, which needs no MLflow.
const F1 = 0.5

// Artifacts are the names of what a stage makes.
func Artifacts(s events.Stage) []string {
	return map[events.Stage][]string{
		events.Prepare:  {"train", "test", "entities", "report"},
		events.Features: {"train_matrix", "test_matrix", "tfidf", "senders"},
		events.Train:    {"baseline", "baseline_choice"},
		events.Tune:     {"tuned", "tuned_choice", "trials"},
		events.Register: {"figures"},
	}[s]
}

// Artifact is an artifact at uri with that content.
func Artifact(uri string, content []byte) events.Artifact {
	return events.Artifact{URI: uri, Digest: digest(content), Bytes: int64(len(content))}
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Figures are figures of a stage that fit the run's parameters.
func Figures(s events.Stage, p events.Parameters) events.Figures {
	switch s {
	case events.Prepare:
		return prepared()
	case events.Features:
		return events.Figures{"train_rows": trainRows, "test_rows": testRows, "columns": 524, "feast_seconds": 0.1, "vocabulary": 500}
	case events.Train:
		return validated(events.Figures{"workers": p.NumWorkers})
	case events.Tune:
		return validated(events.Figures{
			"trials": p.NumHPOTrials, "stopped_early": 0, "best_trial": 0, "parameters": map[string]float64{"eta": 0.1},
		})
	default:
		return judged()
	}
}

func prepared() events.Figures {
	return events.Figures{
		"data_digest": digest(nil), "rows": trainRows + testRows, "kept": trainRows + testRows, "dropped": 0,
		"train_rows": trainRows, "validation_rows": trainRows / 5, "test_rows": testRows,
		"spam_train": trainRows / 2, "spam_test": testRows / 2, "duplicates": 0, "groups": trainRows + testRows,
		"layout": "raw", "drops": map[string]int{},
	}
}

// validated are the figures of a model on the validation part, and more.
func validated(more events.Figures) events.Figures {
	figures := events.Figures{
		"f1": 0.9, "precision": 0.9, "recall": 0.9, "auc": 0.9, "log_loss": 0.3, "threshold": 0.5, "rounds": 10, "mlflow_run_id": "none",
	}
	maps.Copy(figures, more)
	return figures
}

// judged are the figures of the evaluation on the test split.
func judged() events.Figures {
	return events.Figures{
		"winner": "baseline", "f1": F1, "precision": 0.5, "recall": 0.5, "auc": 0.5, "pr_auc": 0.5, "log_loss": 0.7, "brier": 0.25,
		"threshold": 0.5, "rows": testRows, "f1_low": 0.4, "f1_high": 0.6, "tp": 30, "fp": 30, "tn": 30, "fn": 30,
		"f1_seen_domains": 0.5, "f1_unseen_domains": nil, "other_f1": 0.5,
		"mlflow_experiment_id": "0", "mlflow_run_id": "none", "mlflow_model_id": "m-none", "model_uri": "models:/m-none", "serving_checked": 0,
		"champion": map[string]any{
			"version": "", "rows": 0, "delta": 0, "delta_low": 0, "delta_high": 0, "better": false, "reason": "canned",
		},
	}
}
