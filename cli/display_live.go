package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/jedib0t/go-pretty/v6/text"

	"refit.dev/platform/journal"
)

// liveDisplay draws one line a stage on a terminal, again and again in place.
type liveDisplay struct {
	app   *App
	view  *journal.RunView
	now   progress
	of    string
	drawn []string
}

func (d *liveDisplay) event(_ event.Event, v *journal.RunView) { d.tick(v) }

func (d *liveDisplay) progress(v *journal.RunView, s *journal.StageView, p progress) {
	d.now, d.of = p, attemptKey(v.ID, s.Stage, s.Attempt, "")
	d.tick(v)
}

func (d *liveDisplay) tick(v *journal.RunView) {
	if v.ID == "" {
		return
	}
	d.view = v
	d.draw(frame(v, d.now, d.of, d.app.Now()))
}

func (d *liveDisplay) close() {
	if d.view != nil {
		d.draw(frame(d.view, d.now, d.of, d.app.Now()))
	}
}

// draw replaces the lines that were drawn last, if they are others.
func (d *liveDisplay) draw(lines []string) {
	if slices.Equal(lines, d.drawn) {
		return
	}
	var b strings.Builder
	for range d.drawn {
		b.WriteString(text.CursorUp.Sprint())
		b.WriteString(text.EraseLine.Sprint())
	}
	for _, line := range lines {
		b.WriteString(text.Trim(line, d.app.width()))
		b.WriteString("\n")
	}
	d.drawn = lines
	d.app.remarkf("%s", strings.TrimSuffix(b.String(), "\n"))
}

// frame is what a run looks like at a moment; p is what the workload of the
// attempt below the key said last.
func frame(v *journal.RunView, p progress, of string, now time.Time) []string {
	lines := []string{fmt.Sprintf("%s  %s  %s", v.ID, v.State, clock(v.Took(now)))}
	for i := range v.Stages {
		s := &v.Stages[i]
		elapsed := ""
		if !s.StartedAt.IsZero() {
			elapsed = clock(s.Took(now))
		}
		said := p
		if of != attemptKey(v.ID, s.Stage, s.Attempt, "") {
			said = progress{}
		}
		lines = append(lines, strings.TrimRight(fmt.Sprintf("%s %-8s  %7s  %s", sign(s.State), s.Stage, elapsed, told(s, said)), " "))
	}
	return lines
}

func sign(s journal.State) string {
	return map[journal.State]string{
		journal.Waiting: "·", journal.Inherited: "=", journal.Running: ">", journal.Completed: "+", journal.Failed: "!", journal.Cancelled: "x",
	}[s]
}

func told(s *journal.StageView, p progress) string {
	switch s.State {
	case journal.Running:
		text := bar(p) + p.String()
		if s.Attempt > 1 {
			text += fmt.Sprintf(" (attempt %d)", s.Attempt)
		}
		return text
	case journal.Completed:
		return headline(s)
	case journal.Failed, journal.Cancelled:
		return s.Reason + ": " + s.Message
	case journal.Inherited:
		return "taken from the run that is replayed"
	default:
		return ""
	}
}

// bar draws how far a step is.
func bar(p progress) string {
	const width = 20
	if p.Total <= 0 {
		return ""
	}
	full := min(width, max(0, p.Done*width/p.Total))
	return "[" + strings.Repeat("#", full) + strings.Repeat("-", width-full) + "] "
}
