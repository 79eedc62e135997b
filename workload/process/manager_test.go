package process

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/workload"
)

func TestEndSaysWhy(t *testing.T) {
	tests := map[string]struct {
		script      string
		wantOutcome workload.Outcome
		wantReason  string
		wantMessage string
	}{
		"success": {
			script: `echo fine`, wantOutcome: workload.Succeeded, wantReason: "Completed",
		},
		"an exit status, with the last lines of the log": {
			script: `echo out; echo no such column >&2; exit 7`, wantOutcome: workload.Failed, wantReason: "ExitStatus",
			wantMessage: "it ended with status 7; the log ends with:\nout\nno such column",
		},
		"a signal": {
			script: `kill -SEGV $$`, wantOutcome: workload.Failed, wantReason: "Signal",
			wantMessage: "it was killed by signal 11 (segmentation fault)",
		},
		"a kill from outside": {
			script: `kill -KILL $$`, wantOutcome: workload.Failed, wantReason: "Signal",
			wantMessage: "it was killed by signal 9 (killed)",
		},
		"an allocation that failed": {
			script: `echo MemoryError; exit 1`, wantOutcome: workload.Failed, wantReason: "OutOfMemory",
			wantMessage: "it got no more memory: exit status 1; the log ends with:\nMemoryError",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			job := b.launch(1, test.script)
			end := b.end()
			require.Equal(t, test.wantOutcome, end.Outcome)
			require.Equal(t, test.wantReason, end.Reason)
			require.Equal(t, test.wantMessage, end.Message)
			require.Equal(t, fileURI(filepath.Join(b.cfg.Dir, job.Name()+".log")), end.Log)
		})
	}
}

func TestOutOfMemoryIsAKillWhileTheKernelHadNone(t *testing.T) {
	v := verdict{status: exitError(syscall.SIGKILL), oom: true}
	outcome, reason, _ := v.word("")
	require.Equal(t, workload.Failed, outcome)
	require.Equal(t, "OutOfMemory", reason)
	require.GreaterOrEqual(t, oomKills(), 0)
}

func TestAWorkloadThatFailsOnABrokenPlatformIsLost(t *testing.T) {
	var died time.Time
	b := setup(t, func(c *Config) {
		c.Broken = func(_ workload.Job, since time.Time) string {
			return map[bool]string{true: "Ray died while it ran"}[died.After(since)]
		}
	})
	b.launch(1, "exit 7")
	require.Equal(t, workload.Failed, b.end().Outcome)
	died = time.Now().Add(time.Hour)
	b.launch(2, "echo fine")
	require.Equal(t, workload.Succeeded, b.end().Outcome)
	b.launch(3, "echo no raylet; exit 7")
	end := b.end()
	require.Equal(t, workload.Lost, end.Outcome)
	require.Equal(t, "PlatformBroken", end.Reason)
	require.Equal(t, "Ray died while it ran: it ended with status 7; the log ends with:\nno raylet", end.Message)
}

func TestAProgramThatIsMissing(t *testing.T) {
	b := setup(t, func(c *Config) { c.Command = Python("/nowhere/python", map[events.Stage]string{events.Prepare: "m"}) })
	b.launch(1, "")
	end := b.end()
	require.Equal(t, workload.Failed, end.Outcome)
	require.Equal(t, "StartFailed", end.Reason)
	require.Contains(t, end.Message, "/nowhere/python")
}

func TestPython(t *testing.T) {
	command := Python("/venv/bin/python", map[events.Stage]string{events.Train: "refit_ray_train.train"})
	args, err := command(workload.Job{Stage: events.Train, Spec: "s3://refit/spec.json"})
	require.NoError(t, err)
	require.Equal(t, []string{"/venv/bin/python", "-m", "refit_ray_train.train", "s3://refit/spec.json"}, args)
	_, err = command(workload.Job{Stage: events.Tune})
	require.ErrorContains(t, err, `no module runs stage "tune"`)
}

func TestLaunchRefusesWhatCanNeverRun(t *testing.T) {
	good := script(1, "")
	tests := map[string]struct {
		change  func(*workload.Job)
		wantErr string
	}{
		"a path in the run":         {func(j *workload.Job) { j.Run = "../../etc" }, "must match"},
		"an upper-case run":         {func(j *workload.Job) { j.Run = "R" }, "must match"},
		"a very long run":           {func(j *workload.Job) { j.Run = strings.Repeat("r", 200) }, "must match"},
		"no run":                    {func(j *workload.Job) { j.Run = "" }, "must match"},
		"an unknown stage":          {func(j *workload.Job) { j.Stage = "deploy" }, `stage "deploy" is unknown`},
		"attempt 0":                 {func(j *workload.Job) { j.Attempt = 0 }, "attempt 0"},
		"an option for the program": {func(j *workload.Job) { j.Spec = "--help" }, `spec "--help" must be a URI`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			job := good
			test.change(&job)
			err := b.Launch(t.Context(), job)
			require.ErrorIs(t, err, workload.ErrInvalid)
			require.ErrorContains(t, err, test.wantErr)
			require.Empty(t, b.List())
		})
	}
}

func TestAWorkloadSeesOnlyItsEnvironment(t *testing.T) {
	t.Setenv("SECRET_OF_THE_HOST", "x")
	b := setup(t, func(c *Config) { c.Env = func(workload.Job) []string { return []string{"GIVEN=y"} } })
	job := b.launch(1, `/usr/bin/env`)
	require.Equal(t, workload.Succeeded, b.end().Outcome)
	path, err := b.Log(job.Name())
	require.NoError(t, err)
	env, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(env), "GIVEN=y\n")
	require.Contains(t, string(env), "REFIT_WORKLOAD="+job.Name()+"\n")
	require.NotContains(t, string(env), "SECRET_OF_THE_HOST")
	for _, file := range []string{path, b.folder.record(job.Name())} {
		info, err := os.Stat(file)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), file)
	}
}

func TestNothingOutlivesAWorkload(t *testing.T) {
	for name, text := range map[string]string{
		"that ended and left a child": `(sleep 60 &); echo running`,
		"that was killed":             `sleep 60 & echo running; kill -KILL $$`,
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			job := b.launch(1, text)
			b.end()
			r, err := b.Get(job.Name())
			require.NoError(t, err)
			require.NotZero(t, r.Session)
			b.gone(r)
		})
	}
}

func TestAStubbornWorkloadIsKilled(t *testing.T) {
	b := setup(t, func(c *Config) { c.Grace = 50 * time.Millisecond })
	job := b.launch(1, `trap '' TERM; `+stay+`; wait; wait`)
	r := b.running(job)
	b.cancel(job)
	b.gone(r)
}

func TestCloseLosesWhatRuns(t *testing.T) {
	b := setup(t)
	job := b.launch(1, stay)
	r := b.running(job)
	require.NoError(t, b.Close(t.Context()))
	b.gone(r)
	require.Empty(t, b.ends)
	require.ErrorIs(t, b.Launch(t.Context(), job), ErrClosed)
	require.ErrorIs(t, b.Cancel(t.Context(), job.Name()), ErrClosed)
	require.NoError(t, b.Close(t.Context()), "a second time")

	next := on(t, b.cfg.Dir)
	end := next.end()
	require.Equal(t, workload.Lost, end.Outcome)
	require.Equal(t, "PlatformStopped", end.Reason)
	require.Equal(t, r.UID, end.UID)
	require.NoError(t, next.Close(t.Context()))
	require.Empty(t, on(t, b.cfg.Dir).ends, "it is announced once")
}

func TestCloseCountsAWorkloadThatFinishes(t *testing.T) {
	b := setup(t)
	job := b.launch(1, `trap 'exit 0' TERM; `+stay)
	b.running(job)
	require.NoError(t, b.Close(t.Context()))
	require.Equal(t, workload.Succeeded, on(t, b.cfg.Dir).end().Outcome)
}

func TestCloseKillsWhenItsContextIsDone(t *testing.T) {
	b := setup(t, func(c *Config) { c.Grace = time.Hour })
	job := b.launch(1, `trap '' TERM; `+stay+`; wait; wait`)
	r := b.running(job)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, b.Close(ctx))
	b.gone(r)
}

func TestAnEndIsAnnouncedUntilSomebodyTakesIt(t *testing.T) {
	save, take := failing(2), failing(2)
	b := setup(t, func(c *Config) {
		ended := c.Ended
		c.SaveLog = func(_ context.Context, job workload.Job, path string) (string, error) {
			if _, err := os.Stat(path); err != nil {
				return "", err
			}
			return "s3://refit/" + job.Name() + "/log.txt", save()
		}
		c.Ended = func(ctx context.Context, end workload.End) error {
			if err := take(); err != nil {
				return err
			}
			return ended(ctx, end)
		}
	})
	job := b.launch(1, `true`)
	require.Equal(t, "s3://refit/"+job.Name()+"/log.txt", b.end().Log)
	require.Eventually(t, func() bool {
		r, err := b.Get(job.Name())
		return err == nil && r.Announced && r.End.Log != ""
	}, 20*time.Second, 5*time.Millisecond)
}

func TestAnEndThatNobodyTookIsAnnouncedByTheNextManager(t *testing.T) {
	tried := make(chan struct{}, 64)
	b := setup(t, func(c *Config) {
		c.Ended = func(context.Context, workload.End) error {
			tried <- struct{}{}
			return errors.New("no broker")
		}
	})
	b.launch(1, `exit 3`)
	<-tried
	require.NoError(t, b.Close(t.Context()))
	end := on(t, b.cfg.Dir).end()
	require.Equal(t, workload.Failed, end.Outcome)
	require.Equal(t, "it ended with status 3", end.Message)
}

func TestMaxParallel(t *testing.T) {
	one := func(c *Config) { c.MaxParallel = 1 }
	b := setup(t, one)
	first, second := b.launch(1, stay), b.launch(2, stay)
	// Whichever came first runs; the other waits, and is cancelled waiting.
	require.Eventually(t, func() bool { return b.state(first) == Running || b.state(second) == Running },
		20*time.Second, 5*time.Millisecond)
	if b.state(second) == Running {
		first, second = second, first
	}
	require.Equal(t, Queued, b.state(second))
	b.cancel(second)
	third := script(3, stay)
	third.Deadline = time.Now().Add(10 * time.Millisecond)
	require.NoError(t, b.Launch(t.Context(), third))
	require.Equal(t, workload.Deadline, b.end().Outcome)
	fourth := b.launch(4, `true`)
	require.NoError(t, b.Close(t.Context()))
	require.Equal(t, Queued, b.state(fourth))

	next := on(t, b.cfg.Dir, one)
	outcomes := map[string]workload.Outcome{}
	for range 2 {
		end := next.end()
		outcomes[end.Workload] = end.Outcome
	}
	require.Equal(t, map[string]workload.Outcome{first.Name(): workload.Lost, fourth.Name(): workload.Succeeded}, outcomes)
}

func (b *bench) state(job workload.Job) State {
	r, err := b.Get(job.Name())
	require.NoError(b.t, err)
	return r.State
}

func TestListIsInOrder(t *testing.T) {
	b := setup(t)
	for i := range 5 {
		b.launch(5-i, `true`)
		b.end()
	}
	var attempts []int
	for _, r := range b.List() {
		attempts = append(attempts, r.Job.Attempt)
	}
	require.Equal(t, []int{5, 4, 3, 2, 1}, attempts)
}

func TestOneManagerAFolder(t *testing.T) {
	b := setup(t)
	other, err := New(b.cfg)
	require.NoError(t, err)
	require.ErrorIs(t, other.Start(t.Context()), ErrInUse)
	require.ErrorIs(t, other.Launch(t.Context(), script(1, "")), ErrClosed)
}

func TestLaunchFailsWhenTheRecordCannotBeWritten(t *testing.T) {
	b := setup(t)
	moved := b.cfg.Dir + ".away"
	require.NoError(t, os.Rename(b.cfg.Dir, moved))
	job := script(1, `true`)
	require.ErrorIs(t, b.Launch(t.Context(), job), syscall.ENOENT)
	require.Empty(t, b.List())
	require.NoError(t, os.Rename(moved, b.cfg.Dir))
	require.NoError(t, b.Launch(t.Context(), job), "the call may be repeated")
	require.Equal(t, workload.Succeeded, b.end().Outcome)
}

func TestAFullDiskDelaysTheRecordOnly(t *testing.T) {
	b := setup(t)
	job := script(1, stay)
	job.Deadline = time.Now().Add(time.Second)
	require.NoError(t, b.Launch(t.Context(), job))
	r := b.running(job)
	moved := b.cfg.Dir + ".away"
	require.NoError(t, os.Rename(b.cfg.Dir, moved))
	require.ErrorIs(t, b.Cancel(t.Context(), job.Name()), syscall.ENOENT, "the wish did not get on record")
	require.NoError(t, r.Session.Wait(t.Context()), "the deadline holds")
	require.Empty(t, b.ends)
	require.NoError(t, os.Rename(moved, b.cfg.Dir))
	require.Equal(t, workload.Deadline, b.end().Outcome)
}

func TestADamagedRecordStopsTheManager(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "r.json"), []byte("{"), 0o600))
	m, err := New(Config{Dir: dir, Command: shell, Ended: func(context.Context, workload.End) error { return nil }})
	require.NoError(t, err)
	require.ErrorContains(t, m.Start(t.Context()), "r.json is damaged")
}

func TestNewSaysWhatIsMissing(t *testing.T) {
	_, err := New(Config{MaxParallel: -1})
	require.ErrorContains(t, err, "Dir is empty")
	require.ErrorContains(t, err, "Command and Ended must be set")
	require.ErrorContains(t, err, "MaxParallel -1")
}
