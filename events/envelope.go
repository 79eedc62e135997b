package events

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
)

// The extension attributes that refit sets.
const (
	ExtCorrelationID = "correlationid" // the run's id
	ExtCausationID   = "causationid"   // the id of the event that caused this one
	ExtStage         = "stage"
	ExtOutcome       = "outcome"
	ExtTraceparent   = "traceparent"
	ExtReplayOf      = "replayof" // the run that is repeated
)

// The sources of refit's events; a function's is FunctionSource.
const (
	SourceSource = "/refit/source"
	CLISource    = "/refit/cli"
)

// FunctionSource is the source attribute of a stage's function.
func FunctionSource(s Stage) string { return "/refit/functions/" + string(s) }

// Envelope is what an event says beside its data.
type Envelope struct {
	Type   Type
	Source string
	// Run becomes the subject and the correlationid. It is empty for the few
	// events that belong to no run.
	Run   string
	Stage Stage
	// Key tells apart the events of one type, source and run: the attempt, say.
	Key      string
	Outcome  Outcome
	Cause    string
	ReplayOf string
	Time     time.Time
	// Traceparent to continue; empty starts the run's own trace.
	Traceparent string
}

// Event makes the CloudEvent. Its id follows from the envelope alone, so the
// same thing said twice is the same event, and it carries source and type,
// since some brokers tell duplicates by the id alone.
func (v Envelope) Event(data any) (event.Event, error) {
	e := event.New()
	e.SetType(string(v.Type))
	e.SetSource(v.Source)
	e.SetID(v.ID())
	e.SetTime(v.Time)
	if v.Run != "" {
		e.SetSubject(v.Run)
	}
	e.SetExtension(ExtTraceparent, Traceparent(v.Traceparent, v.Run, v.ID()))
	for name, value := range map[string]string{
		ExtCorrelationID: v.Run, ExtCausationID: v.Cause, ExtStage: string(v.Stage),
		ExtOutcome: string(v.Outcome), ExtReplayOf: v.ReplayOf,
	} {
		if value != "" {
			e.SetExtension(name, value)
		}
	}
	if err := e.SetData(event.ApplicationJSON, data); err != nil {
		return event.Event{}, fmt.Errorf("encode the data of %s: %w", v.Type, err)
	}
	return e, Validate(e)
}

// ID is the id of the event.
func (v Envelope) ID() string {
	id := v.Source + ":" + string(v.Type) + ":" + v.Run
	if v.Key != "" {
		id += ":" + v.Key
	}
	return id
}

// Traceparent returns a W3C trace context whose span belongs to id: in the
// trace of parent if that is a valid context, else in the trace of run.
func Traceparent(parent, run, id string) string {
	trace := hash(run)[:32]
	if len(parent) == 55 {
		trace = parent[3:35]
	}
	return "00-" + trace + "-" + hash(id)[:16] + "-01"
}

// Extension reads a string extension of e, empty if it has none.
func Extension(e event.Event, name string) string {
	s, _ := e.Extensions()[name].(string)
	return s
}

// hash is the hex SHA-256 of parts, each kept apart from the next.
func hash(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write(fmt.Appendf(nil, "%d:%s", len(p), p))
	}
	return hex.EncodeToString(h.Sum(nil))
}
