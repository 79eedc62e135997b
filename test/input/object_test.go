package input_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/platform/journal"
)

// hold makes every prepare that is launched from now on wait, until open.
func hold(t *testing.T) (open func()) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "open")
	gate.Store(&file)
	t.Cleanup(func() { gate.Store(nil) })
	return func() { require.NoError(t, os.WriteFile(file, nil, 0o600)) }
}

// begun waits until prepare of a run was launched.
func begun(t *testing.T, run string) {
	t.Helper()
	shared.Until(t, journal.Filter{Run: run}, func(e event.Event) bool { return e.Type() == string(events.Prepare.Started()) })
}

func TestAnObjectThatGoesOrChangesBeforeItIsReadFailsItsRun(t *testing.T) {
	before := len(runs(t))
	open := hold(t)
	gone := shared.Started(t, shared.Upload(t, "goes.parquet", file(t, "good"), nil).ID())
	old := shared.Started(t, shared.Upload(t, "changes.parquet", file(t, "good"), nil).ID())
	begun(t, gone)
	begun(t, old)
	remove(t, "goes.parquet")
	seen := len(runs(t))
	body, err := os.ReadFile(file(t, "odd"))
	require.NoError(t, err)
	require.NoError(t, put(t, "changes.parquet", body))
	shared.Until(t, journal.Filter{Types: []string{string(events.RunStarted)}}, func(event.Event) bool { return len(runs(t)) > seen })
	next := runs(t)[seen].ID
	open()

	for run, want := range map[string]string{
		gone: "cannot read s3://landing/goes.parquet: NoSuchKey; the object is gone or was overwritten, start a new run",
		old:  "cannot read s3://landing/changes.parquet: PreconditionFailed; the object is gone or was overwritten, start a new run",
	} {
		ended := shared.Ended(t, run)
		require.Equal(t, journal.Failed, ended.State)
		require.Equal(t, "prepare: InputChanged: "+want, ended.Reason)
		_, shown, _ := refit(t, "run", "show", run)
		require.Contains(t, shown, want)
	}
	require.EqualValues(t, 207, prepared(t, next).Figures["rows"], "the newer version has a run of its own")
	gate.Store(nil)
	stillWorks(t, before, "goes.parquet", "changes.parquet", "changes.parquet")
}

func TestAnObjectThatWentBeforeItsEventCameStartsNothing(t *testing.T) {
	announced := shared.Upload(t, "went.parquet", file(t, "good"), nil)
	prepared(t, shared.Started(t, announced.ID()))
	before := len(runs(t))
	late := announced.Clone()
	late.SetID(uuid.NewString())
	remove(t, "went.parquet")
	shared.Emit(t, late)
	verdict := shared.CausedBy(t, late.ID())
	require.Equal(t, string(events.LandingOverwritten), verdict.Type())
	require.Equal(t, events.Landing{URI: "s3://landing/went.parquet", Reason: "Deleted", Message: "the object is gone: upload it again to start a run"}, landing(t, verdict))
	stillWorks(t, before)
}
