package process

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refit.dev/workload"
	"refit.dev/workload/process/session"
)

// until is a script that runs until a file appears in the folder.
const until = `echo running; until [ -e go ]; do sleep 0.02; done`

// says makes a manager whose store holds a result with that outcome.
func says(outcome workload.Outcome, fails int64) func(*Config) {
	ask := failing(fails)
	return func(c *Config) {
		c.Finished = func(context.Context, workload.Job) (workload.Outcome, error) { return outcome, ask() }
	}
}

func TestAWorkloadThatOutlivedItsManagerIsAdopted(t *testing.T) {
	tests := map[string]struct {
		change      func(*Config)
		wantOutcome workload.Outcome
		wantReason  string
	}{
		"and wrote that it succeeded":    {says(workload.Succeeded, 2), workload.Succeeded, "Completed"},
		"and wrote that it failed":       {says(workload.Failed, 0), workload.Failed, "ExitStatus"},
		"and wrote nothing":              {says("", 0), workload.Lost, "PlatformStopped"},
		"and nobody knows what it wrote": {func(*Config) {}, workload.Lost, "PlatformStopped"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir, r := crash(t, until)
			b := on(t, dir, test.change)
			require.Equal(t, Running, b.state(r.Job))
			require.NoError(t, b.Launch(t.Context(), r.Job), "it is launched once")
			require.NoError(t, os.WriteFile(filepath.Join(dir, "go"), nil, 0o600))
			end := b.end()
			require.Equal(t, test.wantOutcome, end.Outcome)
			require.Equal(t, test.wantReason, end.Reason)
			require.Equal(t, r.UID, end.UID)
			require.Equal(t, r.StartedAt, end.StartedAt)
			b.gone(r)
		})
	}
}

func TestAnAdoptedWorkloadIsUnderTheManager(t *testing.T) {
	t.Run("cancelled", func(t *testing.T) {
		dir, r := crash(t, stay)
		b := on(t, dir)
		b.cancel(r.Job)
		b.gone(r)
	})
	t.Run("ended at its deadline, which was long ago", func(t *testing.T) {
		dir, r := crash(t, stay)
		r.Job.Deadline = time.Now().Add(-time.Hour)
		require.NoError(t, folder(dir).save(r))
		b := on(t, dir)
		require.Equal(t, workload.Deadline, b.end().Outcome)
		b.gone(r)
	})
	t.Run("lost when the manager closes", func(t *testing.T) {
		dir, r := crash(t, stay)
		b := on(t, dir)
		require.NoError(t, b.Close(t.Context()))
		b.gone(r)
		require.Equal(t, workload.Lost, on(t, dir).end().Outcome)
	})
	t.Run("ended if leftovers are unwanted", func(t *testing.T) {
		dir, r := crash(t, stay)
		b := on(t, dir, func(c *Config) { c.EndLeftovers = true })
		require.Equal(t, workload.Lost, b.end().Outcome)
		b.gone(r)
	})
	t.Run("cancelled if the last manager was asked to", func(t *testing.T) {
		dir, r := crash(t, stay)
		r.Ending = workload.Cancelled
		require.NoError(t, folder(dir).save(r))
		b := on(t, dir)
		require.Equal(t, workload.Cancelled, b.end().Outcome)
		b.gone(r)
	})
}

func TestAWorkloadThatEndedWhileThereWasNoManager(t *testing.T) {
	for name, leftovers := range map[string]bool{"adopting": false, "ending": true} {
		t.Run(name, func(t *testing.T) {
			dir, r := crash(t, stay)
			require.NoError(t, r.Session.End(t.Context(), 0))
			b := on(t, dir, says(workload.Succeeded, 0), func(c *Config) { c.EndLeftovers = leftovers })
			require.Equal(t, workload.Succeeded, b.end().Outcome)
		})
	}
}

func TestAnAdoptedWorkloadTakesItsPlaceInTheQueue(t *testing.T) {
	dir, r := crash(t, stay)
	waiting := Record{Job: script(2, `true`), UID: "u", State: Queued, LaunchedAt: time.Now().UTC()}
	require.NoError(t, folder(dir).save(waiting))
	b := on(t, dir, func(c *Config) { c.MaxParallel = 1 })
	require.Equal(t, Queued, b.state(waiting.Job))
	b.cancel(r.Job)
	require.Equal(t, workload.Succeeded, b.end().Outcome)
}

func TestEachKillPointOfALaunch(t *testing.T) {
	job := script(1, `echo run >> runs; `+until)
	record := Record{Job: job, UID: "uid-" + t.Name(), LaunchedAt: time.Now().UTC()}

	t.Run("before the process: it is started", func(t *testing.T) {
		dir, r := t.TempDir(), record
		r.State = Queued
		require.NoError(t, folder(dir).save(r))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "go"), nil, 0o600))
		require.Equal(t, workload.Succeeded, on(t, dir).end().Outcome)
		runs(t, dir, 1)
	})
	t.Run("just before the process: it is lost, for it may have run", func(t *testing.T) {
		dir, r := t.TempDir(), record
		r.State = Starting
		require.NoError(t, folder(dir).save(r))
		require.Equal(t, workload.Lost, on(t, dir).end().Outcome)
		require.NoFileExists(t, filepath.Join(dir, "runs"))
	})
	t.Run("just after the process: it is found and adopted", func(t *testing.T) {
		dir, r := t.TempDir(), record
		r.State = Starting
		id := orphan(t, dir, r)
		require.NoError(t, folder(dir).save(r))
		b := on(t, dir, says(workload.Succeeded, 0))
		require.Eventually(t, func() bool { return b.state(job) == Running }, 20*time.Second, 5*time.Millisecond)
		got, err := b.Get(job.Name())
		require.NoError(t, err)
		require.Equal(t, id, got.Session)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "go"), nil, 0o600))
		require.Equal(t, workload.Succeeded, b.end().Outcome)
		runs(t, dir, 1)
	})
	t.Run("in writing the record: the old one holds", func(t *testing.T) {
		dir, r := t.TempDir(), record
		r.State = Queued
		require.NoError(t, folder(dir).save(r))
		require.NoError(t, os.WriteFile(folder(dir).record(job.Name())+".new", []byte(`{"job":`), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "go"), nil, 0o600))
		require.Equal(t, workload.Succeeded, on(t, dir).end().Outcome)
	})
}

// orphan starts the process of r as a manager does that dies at once.
func orphan(t *testing.T, dir string, r Record) session.ID {
	t.Helper()
	args, err := shell(r.Job)
	require.NoError(t, err)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env = dir, append(path(r.Job), uidVariable+"="+r.UID)
	id, err := session.Start(cmd)
	require.NoError(t, err)
	waited := make(chan error, 1)
	go func() { waited <- cmd.Wait() }()
	t.Cleanup(func() {
		require.NoError(t, id.End(context.Background(), 0))
		<-waited
	})
	return id
}

// runs requires that the script ran n times.
func runs(t *testing.T, dir string, n int) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "runs"))
	require.NoError(t, err)
	require.Len(t, b, n*len("run\n"))
}
