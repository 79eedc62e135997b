package cli

import (
	"fmt"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"refit.dev/events"
	"refit.dev/platform/journal"
)

// plainDisplay prints a line for each event and for each step of progress that
// is worth telling, with the time since the run began.
type plainDisplay struct {
	app  *App
	told progress
}

func (d *plainDisplay) event(e event.Event, v *journal.RunView) {
	for _, line := range describe(e, v) {
		d.line(v, e.Time(), line[0], line[1])
	}
}

// progress tells a new step, and each tenth part of one that takes its time.
func (d *plainDisplay) progress(v *journal.RunView, s *journal.StageView, p progress) {
	same := p.Step == d.told.Step && p.Total == d.told.Total
	if same && (tenth(p) == tenth(d.told) || p.At.Sub(d.told.At) < tellEvery) {
		return
	}
	d.told = p
	d.line(v, p.At, string(s.Stage), p.String())
}

// tellEvery is the least time between two lines about one step.
const tellEvery = 5 * time.Second

func tenth(p progress) int {
	if p.Total == 0 {
		return p.Done
	}
	return p.Done * 10 / p.Total
}

func (d *plainDisplay) tick(*journal.RunView) {}

func (d *plainDisplay) close() {}

func (d *plainDisplay) line(v *journal.RunView, at time.Time, stage, text string) {
	d.app.remarkf("%7s  %-8s  %s", clock(max(0, at.Sub(v.StartedAt))), stage, text)
}

// describe says in a line, or none, what an event means to people: the stage,
// if any, and a sentence.
func describe(e event.Event, v *journal.RunView) [][2]string {
	one := func(stage events.Stage, format string, args ...any) [][2]string {
		return [][2]string{{string(stage), fmt.Sprintf(format, args...)}}
	}
	switch t := events.Type(e.Type()); t {
	case events.RunStarted:
		return one("run", "%s", beginning(v))
	case events.ModelRegistered, events.ModelRejected:
		return one(events.Register, "%s: %s", v.State, v.Reason)
	case events.WorkloadEnded:
		var end events.End
		if e.DataAs(&end) == nil && end.Outcome == events.Lost {
			return one(end.Stage, "attempt %d was lost: %s", end.Attempt, end.Message)
		}
		return nil
	default:
		return describeStage(t, v, one)
	}
}

func describeStage(t events.Type, v *journal.RunView, one func(events.Stage, string, ...any) [][2]string) [][2]string {
	for i := range v.Stages {
		switch s := &v.Stages[i]; t {
		case s.Stage.Started():
			if s.Attempt > 1 {
				return one(s.Stage, "started, attempt %d", s.Attempt)
			}
			return one(s.Stage, "started")
		case s.Stage.Completed():
			if s.State == journal.Inherited {
				return one(s.Stage, "taken from run %s", v.Replay.Run)
			}
			return one(s.Stage, "completed in %s: %s", clock(seconds(s.Seconds)), headline(s))
		case s.Stage.Failed(), s.Stage.Cancelled():
			return one(s.Stage, "%s: %s: %s", s.State, s.Reason, s.Message)
		default:
		}
	}
	return nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func beginning(v *journal.RunView) string {
	text := v.ID + " began"
	if v.Data != nil {
		text += " on " + v.Data.URI
	}
	if v.Replay != nil {
		text += fmt.Sprintf(", replays %s from %s", v.Replay.Run, v.Replay.From)
	}
	return text
}

// headlines are the figures of a stage that people want first.
func headlines() map[events.Stage][][2]string {
	return map[events.Stage][][2]string{
		events.Prepare:  {{"kept", "mails"}, {"dropped", "dropped"}, {"train_rows", "train"}, {"test_rows", "test"}},
		events.Features: {{"columns", "columns"}, {"train_rows", "train"}, {"test_rows", "test"}},
		events.Train:    {{"f1", "F1 on validation"}, {"rounds", "rounds"}},
		events.Tune:     {{"f1", "F1 on validation"}, {"trials", "trials"}, {"stopped_early", "stopped early"}},
		events.Register: {{"f1", "F1 on test"}, {"rows", "mails"}},
	}
}

func headline(s *journal.StageView) string {
	var text string
	for _, h := range headlines()[s.Stage] {
		value, found := s.Figures[h[0]]
		if !found {
			continue
		}
		if text != "" {
			text += ", "
		}
		text += figure(value) + " " + h[1]
	}
	return text
}
