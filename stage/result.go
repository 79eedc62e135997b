package stage

import (
	"encoding/json"
	"fmt"

	"refit.dev/workload"
)

// Figures reads a result's figures into the struct that into points at.
func Figures(r workload.Result, into any) error {
	b, err := json.Marshal(r.Figures)
	if err != nil {
		return fmt.Errorf("encode figures of %s: %w", r.Stage, err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return Failf(badResult, "figures of %s: %v", r.Stage, err)
	}
	return nil
}

// Require checks that a result has the named artifacts.
func Require(r workload.Result, names ...string) error {
	for _, name := range names {
		if _, made := r.Artifacts[name]; !made {
			return Failf(badResult, "the workload of %s made no artifact %q", r.Stage, name)
		}
	}
	return nil
}
