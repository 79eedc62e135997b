package events

import "strings"

// Type is the type attribute of a CloudEvent.
type Type string

// The types that belong to no single stage. The stage types come from the
// methods of Stage.
const (
	// RunRequested asks for a run; people and tools send it.
	RunRequested Type = "dev.refit.run.requested"
	// RunStarted says that a run was claimed, with everything it will use.
	RunStarted Type = "dev.refit.run.started"
	// LandingDuplicate: that version of the object has its run already.
	LandingDuplicate Type = "dev.refit.landing.duplicate"
	// LandingOverwritten: a newer version took the object's place before a run
	// could claim it; the newer one has an event of its own.
	LandingOverwritten Type = "dev.refit.landing.overwritten"
	// LandingFiltered: the object is not one that starts runs.
	LandingFiltered Type = "dev.refit.landing.filtered"
	// LandingRefused: a run was asked for in a way that cannot be met.
	LandingRefused Type = "dev.refit.landing.refused"
	// WorkloadEnded says that a launched workload is over.
	WorkloadEnded Type = "dev.refit.workload.ended"
	// ModelRegistered ends a run that passed the gate.
	ModelRegistered Type = "dev.refit.model.registered"
	// ModelRejected ends a run that the gate refused.
	ModelRejected Type = "dev.refit.model.rejected"
)

// The prefixes under which object stores announce a new object: the S3 adapter
// of the CloudEvents specification, and Ceph, which leaves the ".s3" out.
const (
	ObjectCreatedPrefix     = "com.amazonaws.s3.ObjectCreated:"
	CephObjectCreatedPrefix = "com.amazonaws.ObjectCreated:"
)

// IsObjectCreated tells whether t announces a new object in a store.
func IsObjectCreated(t string) bool {
	return strings.HasPrefix(t, ObjectCreatedPrefix) || strings.HasPrefix(t, CephObjectCreatedPrefix)
}

// Terminal tells whether an event of type t ends its run.
func (t Type) Terminal() bool {
	return t == ModelRegistered || t == ModelRejected || t.isFailed() || t.isCancelled()
}

func (t Type) isFailed() bool    { return strings.HasSuffix(string(t), ".failed") }
func (t Type) isCancelled() bool { return strings.HasSuffix(string(t), ".cancelled") }
