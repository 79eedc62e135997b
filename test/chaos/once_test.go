package chaos_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/platform/journal"
	"refit.dev/test/chaos/small"
	"refit.dev/test/platformtest"
)

// runOf waits until there is a run for an upload and returns its definition.
func runOf(t *testing.T, p *platformtest.Platform, key string) events.Run {
	t.Helper()
	var run events.Run
	p.Until(t, journal.Filter{}, func(e event.Event) bool {
		if e.Type() != string(events.RunStarted) {
			return false
		}
		var found events.Run
		require.NoError(t, e.DataAs(&found))
		if found.Data.URI != "s3://landing/"+key {
			return false
		}
		run = found
		return true
	})
	return run
}

// requireEnded waits for the end of an upload's run, which is a registered
// model unless a workload of it was killed.
func (m *mayhem) requireEnded(t *testing.T, key string) {
	t.Helper()
	view := m.p.Ended(t, runOf(t, m.p.Platform, key).ID)
	killed := slices.ContainsFunc(m.shot, func(name string) bool { return strings.HasPrefix(name, view.ID) })
	if view.State == journal.Failed && killed {
		require.Contains(t, view.Reason, "signal 9")
		return
	}
	require.Equal(t, journal.Registered, view.State, "%s: %s", key, view.Reason)
}

// requireOnce checks that every upload has one run, that each run ended once,
// that no attempt ran twice and none beside another, and that there is one
// version for each run that was registered and none for the others.
func requireOnce(t *testing.T, p *platformtest.Process, keys []string) {
	t.Helper()
	list, err := p.Journal.Events(t.Context(), journal.Filter{})
	require.NoError(t, err)
	runs, ends := map[string]string{}, map[string]string{}
	for _, e := range list {
		if e.Type() == string(events.RunStarted) {
			var run events.Run
			require.NoError(t, e.DataAs(&run))
			key := strings.TrimPrefix(run.Data.URI, "s3://landing/")
			require.Contains(t, []string{"", run.ID}, runs[key], "%s has two runs", key)
			runs[key] = run.ID
		}
		if events.Type(e.Type()).Terminal() {
			require.Contains(t, []string{"", e.ID()}, ends[e.Subject()], "run %s ended twice", e.Subject())
			ends[e.Subject()] = e.ID()
		}
	}
	for _, key := range keys {
		require.NotEmpty(t, runs[key], "%s has no run", key)
	}
	requireNoAttemptTwice(t, p.Dir)
	for _, view := range journal.Fold(list) {
		if !slices.Contains(keys, strings.TrimPrefix(view.Data.URI, "s3://landing/")) {
			continue // another test's
		}
		require.Len(t, p.ByRun(t, view.Parameters.ModelName, view.ID), map[journal.State]int{journal.Registered: 1}[view.State], view.ID)
	}
}

// requireNoAttemptTwice reads what the workloads noted.
func requireNoAttemptTwice(t *testing.T, dir string) {
	t.Helper()
	body, err := os.ReadFile(filepath.Join(dir, "ran-here", small.Ran))
	require.NoError(t, err)
	names := strings.Fields(string(bytes.TrimSpace(body)))
	slices.Sort(names)
	require.Equal(t, slices.Compact(slices.Clone(names)), names, "an attempt ran twice")
}
