package journal

import (
	"time"

	"refit.dev/events"
)

// State is how far a run or a stage is.
type State string

// The states. A stage is Waiting, Inherited, Running, Completed, Failed or
// Cancelled; a run is Running, Registered, Rejected, Failed or Cancelled.
const (
	Waiting    State = "waiting"
	Inherited  State = "inherited" // taken from the run that a replay repeats
	Running    State = "running"
	Completed  State = "completed"
	Registered State = "registered"
	Rejected   State = "rejected"
	Failed     State = "failed"
	Cancelled  State = "cancelled"
)

// Ended tells whether nothing more happens.
func (s State) Ended() bool { return s != Waiting && s != Running }

// RunView is one run as the journal tells it.
type RunView struct {
	ID    string `json:"run"`
	State State  `json:"state"`
	// StartedAt is when the run was claimed, EndedAt zero while it runs.
	StartedAt  time.Time          `json:"started_at"`
	EndedAt    time.Time          `json:"ended_at,omitzero"`
	Data       *events.Data       `json:"data,omitempty"`
	Parameters *events.Parameters `json:"parameters,omitempty"`
	Cause      events.Cause       `json:"cause,omitzero"`
	Replay     *events.Replay     `json:"replay,omitempty"`
	Commit     string             `json:"commit,omitempty"`
	// Stages are all five, in running order.
	Stages []StageView `json:"stages"`
	// Model is nil until the gate has decided.
	Model *ModelView `json:"model,omitempty"`
	// Reason says why the run ended as it did.
	Reason string `json:"reason,omitempty"`
}

// StageView is one stage of a run.
type StageView struct {
	Stage events.Stage `json:"stage"`
	State State        `json:"state"`
	// Attempt is the latest one, 0 before the first.
	Attempt   int       `json:"attempt"`
	StartedAt time.Time `json:"started_at,omitzero"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
	// Seconds is how long the workload of the last attempt ran; while it runs, 0.
	Seconds   float64          `json:"seconds,omitempty"`
	Figures   events.Figures   `json:"figures,omitempty"`
	Artifacts events.Artifacts `json:"artifacts,omitempty"`
	// Log is the URI of the last attempt's log, which is there at its end.
	Log string `json:"log,omitempty"`
	// Reason and Message say why the stage failed or was cancelled.
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
}

// ModelView is what the gate decided.
type ModelView struct {
	Name string `json:"model_name"`
	// Version, Alias and AliasReason are empty for a rejected model.
	Version     string  `json:"version,omitempty"`
	Alias       string  `json:"alias,omitempty"`
	AliasReason string  `json:"alias_reason,omitempty"`
	F1          float64 `json:"f1"`
	Threshold   float64 `json:"f1_threshold"`
	// Link is the page of the evaluation in MLflow.
	Link string `json:"link,omitempty"`
}

// Stage returns the view of one stage, nil for a name that is none.
func (v *RunView) Stage(s events.Stage) *StageView {
	for i := range v.Stages {
		if v.Stages[i].Stage == s {
			return &v.Stages[i]
		}
	}
	return nil
}

// Current is the stage that the run is at: the one that runs or ended the run,
// else the last one that began. It is nil before the first begins.
func (v *RunView) Current() *StageView {
	var current *StageView
	for i := range v.Stages {
		if s := &v.Stages[i]; s.State != Waiting && s.State != Inherited {
			current = s
		}
	}
	return current
}

// Took is how long the run has been going at now, or went until its end.
func (v *RunView) Took(now time.Time) time.Duration { return span(v.StartedAt, v.EndedAt, now) }

// Took is how long the stage has been going at now, or went until its end.
func (s *StageView) Took(now time.Time) time.Duration { return span(s.StartedAt, s.EndedAt, now) }

func span(start, end, now time.Time) time.Duration {
	if end.IsZero() {
		end = now
	}
	if start.IsZero() || end.Before(start) {
		return 0
	}
	return end.Sub(start)
}
