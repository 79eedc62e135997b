package workload

import (
	"time"

	"refit.dev/events"
)

// Result is result.json, the last thing that a workload writes. A workload
// that ended without one failed in a way that it did not understand itself.
type Result struct {
	Run     string       `json:"run"`
	Stage   events.Stage `json:"stage"`
	Attempt int          `json:"attempt"`
	// Outcome is Succeeded or Failed.
	Outcome Outcome `json:"outcome"`
	// Error says why, for Failed.
	Error     *Error           `json:"error,omitempty"`
	Figures   events.Figures   `json:"figures"`
	Artifacts events.Artifacts `json:"artifacts"`
	StartedAt time.Time        `json:"started_at"`
	EndedAt   time.Time        `json:"ended_at"`
}

// Error is a failure that a workload understood.
type Error struct {
	// Reason is one of the words of schemas/result.json, such as BadInput.
	Reason string `json:"reason"`
	// Message names the value, says what is accepted and what to do next.
	Message string `json:"message"`
}
