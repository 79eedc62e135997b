// Package chaos_test kills what can die and looks whether the run ends as it
// would have, once.
package chaos_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/platform/journal"
	"refit.dev/test/platformtest"
)

// TestTheRealPipelineSurvivesAKillInEveryStage kills the whole refit up with
// kill -9 while each of the five workloads runs, and once while it comes up.
func TestTheRealPipelineSurvivesAKillInEveryStage(t *testing.T) {
	dir := t.TempDir()
	platformtest.Up(t, dir).Kill()
	p := platformtest.Up(t, dir)
	announced := p.Upload(t, "chaos.parquet", p.Sample(t, 600), map[string]string{"refit-num-hpo-trials": "2", "refit-f1-threshold": "0.7"})
	run := p.Started(t, announced.ID())
	for _, s := range events.Stages() {
		p.Until(t, journal.Filter{Run: run}, func(e event.Event) bool { return e.Type() == string(s.Started()) })
		p.Kill()
		p = platformtest.Up(t, dir)
	}
	view := p.Ended(t, run)
	require.Equal(t, journal.Registered, view.State, view.Reason)
	require.Len(t, p.ByRun(t, "spam-detector", run), 1, "one version")
	p.Interrupt()
	require.Empty(t, platformtest.Leftovers(t, dir), "no process is left over")
}

// TestARunOutlastsRay kills the head under a workload that uses it, which ends
// the workload. Ray comes back by itself, and another attempt has it.
func TestARunOutlastsRay(t *testing.T) {
	dir := t.TempDir()
	p := platformtest.Up(t, dir)
	announced := p.Upload(t, "ray.parquet", p.Sample(t, 600), map[string]string{"refit-num-hpo-trials": "2", "refit-f1-threshold": "0.7"})
	run := p.Started(t, announced.ID())
	require.Eventually(t, func() bool {
		log, err := os.ReadFile(filepath.Join(dir, "workloads", run+"-train-1.log"))
		return err == nil && strings.Contains(string(log), "joined the Ray cluster")
	}, 4*time.Minute, 20*time.Millisecond, "the baseline is not trained")
	id, err := serviceOf(dir, "ray")
	require.NoError(t, err)
	require.NoError(t, id.Signal(syscall.SIGKILL))
	view := p.Ended(t, run)
	require.Equal(t, journal.Registered, view.State, view.Reason)
	for _, s := range view.Stages {
		if s.Stage == events.Train {
			require.Greater(t, s.Attempt, 1)
			continue
		}
		require.Equal(t, 1, s.Attempt, s.Stage)
	}
	p.Interrupt()
	require.Empty(t, platformtest.Leftovers(t, dir), "no process is left over")
}
