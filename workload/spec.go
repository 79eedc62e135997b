package workload

import (
	"time"

	"refit.dev/events"
)

// Spec is spec.json: all that a workload is told. Its function writes it, once
// an attempt; schemas/spec.json checks it on both sides.
type Spec struct {
	Run     string       `json:"run"`
	Stage   events.Stage `json:"stage"`
	Attempt int          `json:"attempt"`
	// Inputs by name, see the stage table in ARCHITECTURE.md.
	Inputs events.Artifacts `json:"inputs"`
	// Output is the prefix, ending in a slash, below which the attempt writes.
	Output     string            `json:"output"`
	Parameters events.Parameters `json:"parameters"`
	// Image that runs the attempt, "local" for a process on this machine.
	Image string `json:"image"`
	// Commit of the code that wrote the spec, empty if unknown.
	Commit   string      `json:"commit"`
	Deadline time.Time   `json:"deadline"`
	Data     events.Data `json:"data"`
}
