package workload

import "refit.dev/events"

// End is how one workload ended, the data of dev.refit.workload.ended.
type End = events.End

// Outcome says how a workload ended.
type Outcome = events.Outcome

// The outcomes of a workload, see package events.
const (
	Succeeded = events.Succeeded
	Failed    = events.Unsuccessful
	Lost      = events.Lost
	Deadline  = events.Deadline
	Cancelled = events.Aborted
)
