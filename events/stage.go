package events

import "slices"

// Stage is one of the five steps between an upload and a model.
type Stage string

// The stages, in the order in which a run passes them.
const (
	Prepare  Stage = "prepare"
	Features Stage = "features"
	Train    Stage = "train"
	Tune     Stage = "tune"
	Register Stage = "register"
)

// Stages lists the stages in running order. The slice is fresh at each call.
func Stages() []Stage {
	return []Stage{Prepare, Features, Train, Tune, Register}
}

// Valid tells whether s is one of Stages.
func (s Stage) Valid() bool { return slices.Contains(Stages(), s) }

// Before lists the stages that a run passes before s, in running order.
func (s Stage) Before() []Stage {
	return Stages()[:max(0, slices.Index(Stages(), s))]
}

// Started is the type of the event that says that a workload was launched.
func (s Stage) Started() Type { return Type("dev.refit." + string(s) + ".started") }

// Completed is the type of the event that starts the next stage. The last
// stage has none: it ends in ModelRegistered or ModelRejected.
func (s Stage) Completed() Type { return Type("dev.refit." + string(s) + ".completed") }

// Failed is the type of the event that ends a run with a reason.
func (s Stage) Failed() Type { return Type("dev.refit." + string(s) + ".failed") }

// Cancelled is the type of the event that ends a run on somebody's wish.
func (s Stage) Cancelled() Type { return Type("dev.refit." + string(s) + ".cancelled") }
