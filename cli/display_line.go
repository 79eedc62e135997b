package cli

import (
	"github.com/cloudevents/sdk-go/v2/event"

	"refit.dev/events"
	"refit.dev/platform/journal"
)

// lineDisplay prints one JSON object a line: {"event": …} as it was sent,
// {"progress": …}, and at the end {"summary": …}.
type lineDisplay struct{ app *App }

// progressLine is what a line says about progress.
type progressLine struct {
	Run     string       `json:"run"`
	Stage   events.Stage `json:"stage"`
	Attempt int          `json:"attempt"`
	progress
}

func (d *lineDisplay) event(e event.Event, _ *journal.RunView) { d.print("event", e) }

func (d *lineDisplay) progress(v *journal.RunView, s *journal.StageView, p progress) {
	d.print("progress", progressLine{Run: v.ID, Stage: s.Stage, Attempt: s.Attempt, progress: p})
}

func (d *lineDisplay) tick(*journal.RunView) {}

func (d *lineDisplay) close() {}

func (d *lineDisplay) print(kind string, value any) {
	if err := d.app.printLine(map[string]any{kind: value}); err != nil {
		d.app.remarkf("print %s: %v", kind, err)
	}
}
