package events

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"time"
)

// Artifact points at one object and says which content is meant.
type Artifact struct {
	// URI is s3://bucket/key.
	URI string `json:"uri"`
	// Digest is "sha256:" and 64 hex digits; empty for an uploaded object,
	// which ETag and Version identify.
	Digest string `json:"digest,omitempty"`
	// Bytes is the size.
	Bytes int64 `json:"bytes"`
	// ETag and Version pin an uploaded object: readers ask the store for just
	// this version, never for whatever is there now.
	ETag    string `json:"etag,omitempty"`
	Version string `json:"version,omitempty"`
}

// Artifacts are named artifacts; a later stage asks for them by name.
type Artifacts map[string]Artifact

// Figures are what a stage measured, by name; schemas/figures.<stage>.json says
// which names and units.
type Figures map[string]any

// Replay says which run a run repeats and from which stage on. Results of the
// stages before From are taken from Run by reference.
type Replay struct {
	Run  string `json:"run"`
	From Stage  `json:"from"`
}

// Request is the data of RunRequested: parameters by name, each optional,
// beside the field replay. Numbers may be written as strings.
type Request struct {
	Replay     *Replay
	Parameters map[string]any
}

// UnmarshalJSON reads parameters from the top level of the object. The error
// names what was found and what is accepted.
func (r *Request) UnmarshalJSON(b []byte) error {
	var fields map[string]any
	if err := json.Unmarshal(b, &fields); err != nil || fields == nil {
		return fmt.Errorf("the data is %s: accepted is an object of parameters such as {\"f1_threshold\": 0.9}", cmp.Or(cut(b), "missing"))
	}
	*r = Request{Parameters: fields}
	replay, found := fields["replay"]
	if !found || replay == nil {
		delete(fields, "replay")
		return nil
	}
	delete(fields, "replay")
	var named struct {
		Replay *Replay `json:"replay"`
	}
	if err := json.Unmarshal(b, &named); err != nil {
		return fmt.Errorf("replay=%s: accepted is an object such as {\"run\": \"r-20261123-060000-0a1b2c3d\", \"from\": \"register\"}", quoted(replay))
	}
	r.Replay = named.Replay
	return nil
}

// MarshalJSON writes parameters to the top level of the object.
func (r Request) MarshalJSON() ([]byte, error) {
	flat := make(map[string]any, len(r.Parameters)+1)
	maps.Copy(flat, r.Parameters)
	if r.Replay != nil {
		flat["replay"] = r.Replay
	}
	return json.Marshal(flat)
}

// Data describes the uploaded object that a run trains on.
type Data struct {
	Artifact
	// LandedAt is the store's LastModified of that version.
	LandedAt time.Time `json:"landed_at"`
}

// Cause names the event that a run owes its existence to.
type Cause struct {
	Type   string `json:"type"`
	Source string `json:"source"`
	ID     string `json:"id"`
}

// Run is a run's whole definition, the content of its claim and of run.json,
// and the data of RunStarted. It never changes: defaults that change later
// change no run, and later stages read nothing else.
type Run struct {
	ID          string     `json:"run"`
	Parameters  Parameters `json:"parameters"`
	Data        Data       `json:"data"`
	Cause       Cause      `json:"cause"`
	Replay      *Replay    `json:"replay,omitempty"`
	Commit      string     `json:"commit,omitempty"`
	Traceparent string     `json:"traceparent"`
	CreatedAt   time.Time  `json:"created_at"`
}

// Landing is the verdict on an object or a request that starts no run.
type Landing struct {
	// URI of the object, where there is one.
	URI string `json:"uri,omitempty"`
	// Run is the run that has the object already (duplicate).
	Run string `json:"run,omitempty"`
	// Reason is one CamelCase word, Message the sentence for people: it names
	// the value, what is accepted and what to do next.
	Reason  string `json:"reason"`
	Message string `json:"message"`
	// Accepted lists every parameter with its limits when one was refused.
	Accepted []Definition `json:"accepted,omitempty"`
}

// Started is the data of a stage's started event.
type Started struct {
	Run      string    `json:"run"`
	Stage    Stage     `json:"stage"`
	Attempt  int       `json:"attempt"`
	Workload string    `json:"workload"`
	Spec     string    `json:"spec"`
	Deadline time.Time `json:"deadline"`
}

// Completed is the data of a stage's completed event.
type Completed struct {
	Run       string    `json:"run"`
	Stage     Stage     `json:"stage"`
	Attempt   int       `json:"attempt"`
	Figures   Figures   `json:"figures"`
	Artifacts Artifacts `json:"artifacts"`
	Log       string    `json:"log,omitempty"`
	// Seconds is how long the workload ran.
	Seconds float64 `json:"seconds"`
}

// Failed is the data of a stage's failed and cancelled events.
type Failed struct {
	Run     string `json:"run"`
	Stage   Stage  `json:"stage"`
	Attempt int    `json:"attempt"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
	Log     string `json:"log,omitempty"`
}

// Model is the data of ModelRegistered and ModelRejected.
type Model struct {
	Run     string `json:"run"`
	Attempt int    `json:"attempt"`
	// Name is the registered model's, Version is empty for a rejected one.
	Name    string `json:"model_name"`
	Version string `json:"version,omitempty"`
	// Alias is champion or challenger, AliasReason says why.
	Alias       string `json:"alias,omitempty"`
	AliasReason string `json:"alias_reason,omitempty"`
	// F1 on the test split against Threshold, the run's f1_threshold.
	F1        float64 `json:"f1"`
	Threshold float64 `json:"f1_threshold"`
	// Reason says why the gate decided as it did.
	Reason    string    `json:"reason"`
	Link      string    `json:"link,omitempty"`
	Figures   Figures   `json:"figures"`
	Artifacts Artifacts `json:"artifacts,omitempty"`
	Log       string    `json:"log,omitempty"`
}

// Outcome says how a workload ended.
type Outcome string

// The outcomes of a workload.
const (
	// Succeeded: the workload exited with status 0.
	Succeeded Outcome = "succeeded"
	// Unsuccessful: it exited with another status or was killed by a signal.
	Unsuccessful Outcome = "failed"
	// Lost: it vanished through no fault of its own, as when the platform
	// stopped. The stage launches its next attempt.
	Lost Outcome = "lost"
	// Deadline: the launcher ended it at its deadline.
	Deadline Outcome = "deadline"
	// Aborted: somebody asked for its end.
	Aborted Outcome = "cancelled"
)

// End is how one workload ended, as its source saw it: the data of
// WorkloadEnded.
type End struct {
	Run     string `json:"run"`
	Stage   Stage  `json:"stage"`
	Attempt int    `json:"attempt"`
	// Workload is the workload's name, UID what tells two of one name apart.
	Workload string  `json:"workload"`
	UID      string  `json:"uid"`
	Outcome  Outcome `json:"outcome"`
	// Reason is one CamelCase word (Completed, ExitStatus, Signal, OutOfMemory,
	// DeadlineExceeded, PlatformStopped, PlatformBroken), Message the sentence for
	// people, with the last lines of the log where the workload failed.
	Reason  string `json:"reason"`
	Message string `json:"message,omitempty"`
	// Log is the URI of the whole log.
	Log       string    `json:"log,omitempty"`
	StartedAt time.Time `json:"started_at"`
	EndedAt   time.Time `json:"ended_at"`
}
