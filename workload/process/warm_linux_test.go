package process

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refit.dev/workload"
	"refit.dev/workload/process/session"
)

// TestWarm runs again what every manager must do, with a warm program: the suite
// of launchers, ends and their reasons, restarts and random kills.
func TestWarm(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"a launcher":                  TestManagerIsALauncher,
		"a client":                    TestClientIsALauncher,
		"ends say why":                TestEndSaysWhy,
		"the environment":             TestAWorkloadSeesOnlyItsEnvironment,
		"nothing outlives":            TestNothingOutlivesAWorkload,
		"stubborn":                    TestAStubbornWorkloadIsKilled,
		"close loses":                 TestCloseLosesWhatRuns,
		"close counts what finishes":  TestCloseCountsAWorkloadThatFinishes,
		"close kills":                 TestCloseKillsWhenItsContextIsDone,
		"announced until taken":       TestAnEndIsAnnouncedUntilSomebodyTakesIt,
		"announced by the next":       TestAnEndThatNobodyTookIsAnnouncedByTheNextManager,
		"at most so many":             TestMaxParallel,
		"a full disk":                 TestAFullDiskDelaysTheRecordOnly,
		"adopted":                     TestAWorkloadThatOutlivedItsManagerIsAdopted,
		"adopted, under the manager":  TestAnAdoptedWorkloadIsUnderTheManager,
		"ended meanwhile":             TestAWorkloadThatEndedWhileThereWasNoManager,
		"adopted, in the queue":       TestAnAdoptedWorkloadTakesItsPlaceInTheQueue,
		"kill points":                 TestEachKillPointOfALaunch,
		"random kills":                TestManagersKilledAtRandom,
		"a program that is missing":   TestAProgramThatIsMissing,
		"a record that fails to save": TestLaunchFailsWhenTheRecordCannotBeWritten,
	} {
		t.Run(name, test)
	}
}

// warmly starts a manager with a warm program that may die or hang in the test.
func warmly(t *testing.T, change ...func(*Config)) (*bench, session.ID) {
	t.Helper()
	b := setup(t, append([]func(*Config){warmed}, change...)...)
	return b, b.program()
}

// program waits until the warm program serves, and not the fork of it that does
// so while it imports, and returns its process.
func (b *bench) program() session.ID {
	b.t.Helper()
	var id session.ID
	require.Eventually(b.t, func() bool {
		log, _ := os.ReadFile(b.nursery.log()) // it is not there at once
		found, err := session.Find(programOf + b.cfg.Dir)
		id = found
		if err != nil || !bytes.Contains(log, []byte(" warm: ")) {
			return false
		}
		members, err := id.Members()
		return err == nil && len(members) == 1
	}, 20*time.Second, 5*time.Millisecond)
	return id
}

// The kill point between the fork and the record: nothing of the job has run.
func TestAWarmProcessThatIsNotAdmittedDoesNothing(t *testing.T) {
	b, _ := warmly(t)
	made := filepath.Join(b.cfg.Dir, "made")
	log := filepath.Join(b.cfg.Dir, "log")
	require.NoError(t, os.WriteFile(log, nil, 0o600))
	birth, err := b.nursery.fork(request{
		Module: "become", Arguments: []string{"/bin/sh", "-c", "touch " + made}, Environment: map[string]string{}, Folder: b.cfg.Dir, Log: log,
	})
	require.NoError(t, err)
	require.True(t, birth.id.Alive())
	require.NoError(t, birth.conn.Close())
	require.NoError(t, birth.id.Wait(t.Context()))
	require.NoFileExists(t, made)
}

func TestAWarmProcessThatCannotStartIsStartedCold(t *testing.T) {
	b, _ := warmly(t)
	birth, err := b.nursery.fork(request{Module: "become", Folder: "/nowhere", Log: "/nowhere/log"})
	require.Nil(t, birth)
	require.ErrorIs(t, err, errCold)
	require.ErrorContains(t, err, "/nowhere")
}

func TestAWorkloadOutlivesTheWarmProgram(t *testing.T) {
	for name, outcome := range map[string]workload.Outcome{"and succeeds": workload.Succeeded, "and writes nothing": workload.Lost} {
		t.Run(name, func(t *testing.T) {
			written := outcome
			if outcome == workload.Lost {
				written = ""
			}
			b, program := warmly(t, says(written, 0))
			r := b.running(b.launch(1, until))
			require.NoError(t, syscall.Kill(program.PID, syscall.SIGKILL))
			require.NoError(t, program.Wait(t.Context()))
			require.True(t, r.Session.Alive())
			b.launch(2, `true`)
			require.Equal(t, workload.Succeeded, b.end().Outcome, "others run meanwhile")
			require.Eventually(t, func() bool {
				again, err := session.Find(programOf + b.cfg.Dir)
				return err == nil && again.Alive() && again != program
			}, 20*time.Second, 5*time.Millisecond, "it is started again")
			require.NoError(t, os.WriteFile(filepath.Join(b.cfg.Dir, "go"), nil, 0o600))
			require.Equal(t, outcome, b.end().Outcome)
			b.gone(r)
		})
	}
}

func TestAWarmProgramThatHangsHoldsNothingUp(t *testing.T) {
	b, program := warmly(t, func(c *Config) { c.Warm.Patience = 10 * time.Millisecond })
	job := b.launch(1, stay)
	r := b.running(job)
	require.NoError(t, syscall.Kill(program.PID, syscall.SIGSTOP))
	b.launch(2, `true`)
	require.Equal(t, workload.Succeeded, b.end().Outcome)
	b.cancel(job)
	b.gone(r)
}

func TestTheWarmProgramEndsWithItsManager(t *testing.T) {
	t.Run("closed", func(t *testing.T) {
		b, program := warmly(t)
		require.NoError(t, b.Close(t.Context()))
		require.False(t, program.Alive())
	})
	t.Run("killed", func(t *testing.T) {
		t.Setenv(warmVariable, "yes")
		dir, r := crash(t, stay)
		require.Eventually(t, func() bool {
			program, err := session.Find(programOf + dir)
			return err == nil && !program.Alive()
		}, 20*time.Second, 5*time.Millisecond)
		require.True(t, r.Session.Alive(), "what it forked goes on")
	})
}

func TestWarmNeedsACommand(t *testing.T) {
	_, err := New(Config{Dir: "x", Warm: &Warm{}})
	require.ErrorContains(t, err, "Warm has no Command")
}
