package chaos_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/platform/journal"
	"refit.dev/stage"
	"refit.dev/test/chaos/small"
	"refit.dev/test/platformtest"
)

// TestAWorkloadThatFailsSaysWhy lets workloads of each stage fail in every way
// that a process can. The run ends with the reason and the last lines of the
// log, and refit logs shows all of it.
func TestAWorkloadThatFailsSaysWhy(t *testing.T) {
	m := hasty(t)
	for name, tc := range map[string]struct {
		key         string
		stage       events.Stage
		wantReason  string
		wantMessage string
	}{
		"killed by a signal":          {key: "prepare=signal", stage: events.Prepare, wantReason: "Signal", wantMessage: "killed by signal 9 (killed)"},
		"out of its own limit":        {key: "features=memory", stage: events.Features, wantReason: "OutOfMemory", wantMessage: "MemoryError"},
		"hung past its deadline":      {key: "train=hang", stage: events.Train, wantReason: "DeadlineExceeded", wantMessage: "ended at its deadline"},
		"half a result":               {key: "tune=half", stage: events.Tune, wantReason: "BadResult", wantMessage: "result.json of "},
		"a result breaks its schema":  {key: "register=broken", stage: events.Register, wantReason: "BadResult", wantMessage: "figures of register"},
		"another exit status":         {key: "prepare=exit", stage: events.Prepare, wantReason: "ExitStatus", wantMessage: "ended with status 3"},
		"no result":                   {key: "train=nothing", stage: events.Train, wantReason: "NoResult", wantMessage: "left no result.json"},
		"a failure it understands":    {key: "tune=refuse", stage: events.Tune, wantReason: "BadInput", wantMessage: "column label is missing: add it"},
		"killed by a signal at tune":  {key: "tune=signal", stage: events.Tune, wantReason: "Signal", wantMessage: "killed by signal 9 (killed)"},
		"killed by a signal at train": {key: "train=signal", stage: events.Train, wantReason: "Signal", wantMessage: "killed by signal 9 (killed)"},
	} {
		t.Run(name, func(t *testing.T) {
			key := tc.key + "/" + strconv.Itoa(len(name)) + ".parquet"
			require.NoError(t, m.put(t, key))
			requireFailed(t, m.p, runOf(t, m.p.Platform, key).ID, tc.stage, tc.wantReason, tc.wantMessage)
		})
	}
}

// TestAWorkloadThatTheKernelEndsForMemorySaysSo puts a workload into a control
// group with little memory.
func TestAWorkloadThatTheKernelEndsForMemorySaysSo(t *testing.T) {
	m := hasty(t)
	file := filepath.Join(m.Dir, "ran-here", small.Cgroup)
	require.NoError(t, os.WriteFile(file, []byte(controlGroup(t, 64<<20)), 0o600))
	t.Cleanup(func() { require.NoError(t, os.Remove(file)) })
	const key = "features=memory/kernel.parquet"
	require.NoError(t, m.put(t, key))
	requireFailed(t, m.p, runOf(t, m.p.Platform, key).ID, events.Features, "OutOfMemory", "the kernel ran out of memory and killed it")
}

// controlGroup makes a group of so many bytes for as long as the test runs, of
// either version of control groups.
func controlGroup(t *testing.T, limit int) string {
	t.Helper()
	root, file := "/sys/fs/cgroup", "memory.max"
	if _, err := os.Stat(filepath.Join(root, "memory")); err == nil {
		root, file = filepath.Join(root, "memory"), "memory.limit_in_bytes"
	} else {
		require.NoError(t, os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+memory"), 0o600))
	}
	group, err := os.MkdirTemp(root, "refit-chaos-") //nolint:usetesting // a group is made where groups are
	require.NoError(t, err)
	t.Cleanup(func() {
		require.Eventually(t, func() bool { return os.Remove(group) == nil }, 10*time.Second, 10*time.Millisecond, "the group is in use")
	})
	require.NoError(t, os.WriteFile(filepath.Join(group, file), []byte(strconv.Itoa(limit)), 0o600))
	return group
}

// hasty is a platform on the shared folder whose attempts have little time. It
// needs no MLflow.
func hasty(t *testing.T) *mayhem {
	t.Helper()
	m := &mayhem{child: child{Dir: shared, Deadline: 5 * time.Second}}
	m.p = m.up(t)
	t.Cleanup(m.p.Kill)
	return m
}

func requireFailed(t *testing.T, p *platformtest.Process, run string, s events.Stage, reason, message string) {
	t.Helper()
	view := p.Ended(t, run)
	require.Equal(t, journal.Failed, view.State, view.Reason)
	failed := view.Stage(s)
	require.Equal(t, reason, failed.Reason, failed.Message)
	require.Contains(t, failed.Message, message)
	const first, last = "line 1 of ", "line 30 of "
	if reason != "BadInput" {
		require.Contains(t, failed.Message, last+string(s), "the last lines of the log")
		require.NotContains(t, failed.Message, first+string(s), "not all of them")
	}
	require.Equal(t, 1, failed.Attempt, "what fails by itself is not tried again")
	requireNotRelaunched(t, p, view)
	var log []byte
	require.Eventually(t, func() bool {
		var err error
		log, err = platformtest.Refit(t, p.Dir, "logs", run, string(s)).Output()
		return err == nil
	}, 20*time.Second, 50*time.Millisecond, "refit logs")
	require.True(t, strings.HasPrefix(string(log), first+string(s)), "%s", log)
	require.Contains(t, string(log), last+string(s))
}

// requireNotRelaunched sends the end of the failed workload once more, with an
// id that no broker remembers: past the window in which copies are known.
func requireNotRelaunched(t *testing.T, p *platformtest.Process, view journal.RunView) {
	t.Helper()
	launched := p.Launched(t, view.ID)
	var again event.Event
	p.Until(t, journal.Filter{Run: view.ID}, func(e event.Event) bool {
		again = e.Clone()
		return e.Type() == string(events.WorkloadEnded) && isFailed(view, e)
	})
	again.SetID(again.ID() + ":again")
	p.Emit(t, again)
	p.Until(t, journal.Filter{Run: view.ID}, func(e event.Event) bool { return e.ID() == again.ID() })
	deliver(t, p, events.Stage(events.Extension(again, events.ExtStage)), again)
	require.Equal(t, launched, p.Launched(t, view.ID), "a redelivery launches nothing")
	require.Equal(t, view.Reason, p.Ended(t, view.ID).Reason)
}

// deliver hands an event to a function past the broker.
func deliver(t *testing.T, p *platformtest.Process, s events.Stage, e event.Event) {
	t.Helper()
	url, err := os.ReadFile(filepath.Join(p.Dir, "ran-here", functionsFile))
	require.NoError(t, err)
	function, err := stage.NewBroker(string(url) + "/" + string(s) + "/")
	require.NoError(t, err)
	require.NoError(t, function.Emit(t.Context(), e))
}

// isFailed tells whether e is of the stage that failed.
func isFailed(view journal.RunView, e event.Event) bool {
	s := view.Stage(events.Stage(events.Extension(e, events.ExtStage)))
	return s != nil && s.State == journal.Failed
}
