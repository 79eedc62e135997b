package workload

import "time"

// Outcome says how a workload ended.
type Outcome string

// The outcomes of a workload.
const (
	// Succeeded: the workload exited with status 0.
	Succeeded Outcome = "succeeded"
	// Failed: it exited with another status or was killed by a signal.
	Failed Outcome = "failed"
	// Lost: it vanished through no fault of its own, as when the platform
	// stopped. The stage launches its next attempt.
	Lost Outcome = "lost"
	// Deadline: the launcher ended it at its deadline.
	Deadline Outcome = "deadline"
	// Cancelled: somebody asked for its end.
	Cancelled Outcome = "cancelled"
)

// End is how one workload ended, as its source saw it. It is the data of the
// event dev.refit.workload.ended.
type End struct {
	Run     string `json:"run"`
	Stage   string `json:"stage"`
	Attempt int    `json:"attempt"`
	// Workload is the workload's name, UID what tells two of one name apart.
	Workload string  `json:"workload"`
	UID      string  `json:"uid"`
	Outcome  Outcome `json:"outcome"`
	// Reason is one CamelCase word (Completed, ExitStatus, Signal, OutOfMemory,
	// DeadlineExceeded, PlatformStopped, …), Message the sentence for people,
	// with the last lines of the log where the workload failed.
	Reason  string `json:"reason"`
	Message string `json:"message,omitempty"`
	// Log is the URI of the whole log.
	Log       string    `json:"log,omitempty"`
	StartedAt time.Time `json:"started_at"`
	EndedAt   time.Time `json:"ended_at"`
}
