package journal

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"refit.dev/events"
)

// Fold tells the state of each run from events, the latest run first. The
// events may be of several runs or of none, in any order, and there more than
// once: the outcome is the same.
func Fold(list []event.Event) []RunView {
	runs := map[string]*fold{}
	for _, e := range canonical(list) {
		id := RunOf(e)
		if id == "" || strings.HasPrefix(e.Type(), "dev.refit.landing.") {
			continue
		}
		if runs[id] == nil {
			runs[id] = newFold(id, e.Time())
		}
		runs[id].apply(e)
	}
	var views []RunView
	for _, f := range runs {
		views = append(views, f.finish())
	}
	slices.SortFunc(views, func(a, b RunView) int {
		return cmp.Or(b.StartedAt.Compare(a.StartedAt), strings.Compare(b.ID, a.ID))
	})
	return views
}

// canonical brings events into one order, whatever order they came in, and
// drops copies. Of two versions of an event the earlier counts.
func canonical(list []event.Event) []event.Event {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b event.Event) int {
		return cmp.Or(a.Time().Compare(b.Time()), strings.Compare(key(a), key(b)), bytes.Compare(a.Data(), b.Data()))
	})
	seen := map[string]bool{}
	return slices.DeleteFunc(list, func(e event.Event) bool {
		copied := seen[key(e)]
		seen[key(e)] = true
		return copied
	})
}

func key(e event.Event) string { return e.Source() + "\x00" + e.Type() + "\x00" + e.ID() }

// fold is a view that grows with each event, which come in canonical order.
type fold struct {
	view   RunView
	stages map[events.Stage]*StageView
	ends   map[events.Stage]map[int]events.End
}

func newFold(id string, first time.Time) *fold {
	f := &fold{
		view:   RunView{ID: id, State: Running, StartedAt: first},
		stages: map[events.Stage]*StageView{}, ends: map[events.Stage]map[int]events.End{},
	}
	for _, s := range events.Stages() {
		f.stages[s] = &StageView{Stage: s, State: Waiting}
		f.ends[s] = map[int]events.End{}
	}
	return f
}

// apply takes in one event. Events with data that is not as declared, and
// those of types that say nothing about a run's state, change nothing.
func (f *fold) apply(e event.Event) {
	switch t := events.Type(e.Type()); t {
	case events.RunStarted:
		f.runStarted(e)
	case events.WorkloadEnded:
		if end, ok := data[events.End](e); ok && end.Stage.Valid() {
			f.ends[end.Stage][end.Attempt] = end
		}
	case events.ModelRegistered, events.ModelRejected:
		f.decided(e, t)
	default:
		f.stageEvent(e, t)
	}
}

func (f *fold) runStarted(e event.Event) {
	run, ok := data[events.Run](e)
	if !ok || f.view.Data != nil {
		return
	}
	f.view.Data, f.view.Parameters = &run.Data, &run.Parameters
	f.view.Cause, f.view.Replay, f.view.Commit = run.Cause, run.Replay, run.Commit
	if !run.CreatedAt.IsZero() {
		f.view.StartedAt = run.CreatedAt
	}
}

func (f *fold) stageEvent(e event.Event, t events.Type) {
	for _, s := range f.stages {
		switch t {
		case s.Stage.Started():
			f.started(e, s)
		case s.Stage.Completed():
			f.completed(e, s)
		case s.Stage.Failed():
			f.failed(e, s, Failed)
		case s.Stage.Cancelled():
			f.failed(e, s, Cancelled)
		default:
		}
	}
}

func (f *fold) started(e event.Event, s *StageView) {
	started, ok := data[events.Started](e)
	if !ok {
		return
	}
	if s.StartedAt.IsZero() {
		s.StartedAt = e.Time()
	}
	if s.State.Ended() {
		return
	}
	s.State, s.Attempt = Running, max(s.Attempt, started.Attempt)
}

func (f *fold) completed(e event.Event, s *StageView) {
	done, ok := data[events.Completed](e)
	if !ok || s.State.Ended() {
		return
	}
	s.State, s.Attempt, s.EndedAt = Completed, done.Attempt, e.Time()
	s.Figures, s.Artifacts, s.Log, s.Seconds = done.Figures, done.Artifacts, done.Log, done.Seconds
}

func (f *fold) failed(e event.Event, s *StageView, state State) {
	failure, ok := data[events.Failed](e)
	if !ok || s.State.Ended() {
		return
	}
	s.State, s.Attempt, s.EndedAt = state, failure.Attempt, e.Time()
	s.Reason, s.Message, s.Log = failure.Reason, failure.Message, failure.Log
	f.end(state, string(s.Stage)+": "+failure.Reason+": "+failure.Message, e.Time())
}

func (f *fold) decided(e event.Event, t events.Type) {
	m, ok := data[events.Model](e)
	if !ok || f.view.State.Ended() {
		return
	}
	s := f.stages[events.Register]
	s.State, s.Attempt, s.EndedAt = Completed, m.Attempt, e.Time()
	s.Figures, s.Artifacts, s.Log = m.Figures, m.Artifacts, m.Log
	f.view.Model = &ModelView{
		Name: m.Name, Version: m.Version, Alias: m.Alias, AliasReason: m.AliasReason, F1: m.F1, Threshold: m.Threshold, Link: m.Link,
	}
	state := Registered
	if t == events.ModelRejected {
		state = Rejected
	}
	f.end(state, m.Reason, e.Time())
}

func (f *fold) end(state State, reason string, at time.Time) {
	if !f.view.State.Ended() {
		f.view.State, f.view.Reason, f.view.EndedAt = state, reason, at
	}
}

// finish settles what needs all events: which stages were inherited, and how
// long workloads ran.
func (f *fold) finish() RunView {
	for _, name := range events.Stages() {
		s := f.stages[name]
		end, known := f.ends[name][s.Attempt]
		switch {
		case f.inherits(name):
			s.State = Inherited
		case s.State.Ended() && s.Seconds == 0 && known:
			s.Seconds = end.EndedAt.Sub(end.StartedAt).Seconds()
		case s.State.Ended() && s.Seconds == 0:
			s.Seconds = s.Took(s.EndedAt).Seconds()
		}
		if s.Log == "" && known {
			s.Log = end.Log
		}
		f.view.Stages = append(f.view.Stages, *s)
	}
	return f.view
}

func (f *fold) inherits(s events.Stage) bool {
	return f.view.Replay != nil && slices.Contains(f.view.Replay.From.Before(), s)
}

// data reads an event's data.
func data[T any](e event.Event) (T, bool) {
	var value T
	return value, e.DataAs(&value) == nil
}
