package workload

import (
	"fmt"
	"time"

	"refit.dev/events"
)

// Job is one workload to run: one attempt of one stage of one run.
type Job struct {
	// Run, Stage and Attempt (from 1) identify the job, and so its Name.
	Run     string       `json:"run"`
	Stage   events.Stage `json:"stage"`
	Attempt int          `json:"attempt"`
	// Spec is the URI of spec.json, the only thing the workload is told.
	Spec string `json:"spec"`
	// Image is the container image to run. The process launcher ignores it.
	Image string `json:"image,omitempty"`
	// Deadline is when the launcher ends the workload by itself.
	Deadline time.Time `json:"deadline"`
}

// Name is the workload's name, the same for every launch of the same attempt,
// which makes a launch idempotent.
func (j Job) Name() string {
	return fmt.Sprintf("%s-%s-%d", j.Run, j.Stage, j.Attempt)
}
