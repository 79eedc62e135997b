package stagetest

import (
	"context"
	"strings"
	"sync"

	"github.com/cloudevents/sdk-go/v2/event"

	"refit.dev/stage"
)

// Recorder is an Emitter that keeps what it is given. The zero value is ready.
type Recorder struct {
	mu     sync.Mutex
	events []event.Event
	fails  []error
}

var _ stage.Emitter = (*Recorder)(nil)

// Emit keeps e, or fails as FailNext said.
func (r *Recorder) Emit(_ context.Context, e event.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.fails) > 0 {
		err := r.fails[0]
		r.fails = r.fails[1:]
		if err != nil {
			return err
		}
	}
	r.events = append(r.events, e)
	return nil
}

// FailNext makes the coming Emits return errs, one each; nil lets one pass.
func (r *Recorder) FailNext(errs ...error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fails = append(r.fails, errs...)
}

// Take returns the events since the last Take.
func (r *Recorder) Take() []event.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.events
	r.events = nil
	return taken
}

// Types returns the types of the events since the last Take, and takes them.
func (r *Recorder) Types() []string {
	var types []string
	for _, e := range r.Take() {
		types = append(types, e.Type())
	}
	return types
}

// Verdict is the type and the data of the last event since the last Take, as
// one text to search, and takes them.
func (r *Recorder) Verdict() string {
	taken := r.Take()
	if len(taken) == 0 {
		return ""
	}
	last := taken[len(taken)-1]
	var data struct{ Message, Reason string }
	if err := last.DataAs(&data); err != nil {
		return last.Type()
	}
	return strings.Join([]string{last.Type(), data.Reason, data.Message}, " ")
}
