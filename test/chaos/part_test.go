package chaos_test

import (
	"bufio"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/platform/journal"
	"refit.dev/stage/store"
	"refit.dev/test/chaos/small"
	"refit.dev/test/platformtest"
	"refit.dev/workload"
	"refit.dev/workload/process/session"
)

// TestAnUploadWhoseEventWasNeverStoredBecomesARun kills the store between the
// write and the event.
func TestAnUploadWhoseEventWasNeverStoredBecomesARun(t *testing.T) {
	m := begin(t)
	m.p.Kill()
	const key = "lost.parquet"
	writeAndDie(t, m.child, key)
	m.p = m.up(t)
	p := m.p
	require.Equal(t, journal.Rejected, p.Ended(t, runOf(t, p.Platform, key).ID).State)
	requireOnce(t, p, []string{key})
}

// writeAndDie uploads to the store of a platform that does not run, which dies
// before it tells of the upload.
func writeAndDie(t *testing.T, home child, key string) {
	t.Helper()
	command := play(t, storeWord, home.Dir)
	out, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	url, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	client := store.S3Config{Endpoint: strings.TrimSpace(url), Region: "us-east-1", AccessKey: "chaos", SecretKey: "chaos-chaos"}.Client()
	bucket := "landing"
	_, err = client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("mail")})
	require.Error(t, err, "the store died")
	require.Error(t, command.Wait())
}

// TestAWorkloadThatDiesWithThePlatformIsLaunchedAgain kills both in each stage.
func TestAWorkloadThatDiesWithThePlatformIsLaunchedAgain(t *testing.T) {
	m := begin(t)
	p := m.p
	const key = "f1=0.9/prepare=gate/features=gate/train=gate/tune=gate/register=gate/x.parquet"
	require.NoError(t, m.put(t, key))
	run := runOf(t, p.Platform, key).ID
	for _, s := range events.Stages() {
		atGate(t, p, run, s, 1)
		process := running(t, p, run, s)
		p.Kill()
		require.NoError(t, process.Signal(syscall.SIGKILL))
		m.p = m.up(t)
		p = m.p
		atGate(t, p, run, s, 2)
		open(t, p, run, s)
	}
	view := p.Ended(t, run)
	require.Equal(t, journal.Registered, view.State, view.Reason)
	for _, s := range view.Stages {
		require.Equal(t, 2, s.Attempt, s.Stage)
	}
	requireOnce(t, p, []string{key})
}

// TestMLflowThatDiesIsWaitedFor kills MLflow while a model is to be registered.
func TestMLflowThatDiesIsWaitedFor(t *testing.T) {
	m := begin(t)
	p := m.p
	const key = "f1=0.9/mlflow/register=gate/x.parquet"
	require.NoError(t, m.put(t, key))
	run := runOf(t, p.Platform, key).ID
	atGate(t, p, run, events.Register, 1)
	m.killService(t, "mlflow")
	open(t, p, run, events.Register)
	view := p.Ended(t, run)
	require.Equal(t, journal.Registered, view.State, view.Reason)
	requireOnce(t, p, []string{key})
}

// atGate waits until an attempt at a stage runs.
func atGate(t *testing.T, p *platformtest.Process, run string, s events.Stage, attempt int) {
	t.Helper()
	p.Until(t, journal.Filter{Run: run}, func(e event.Event) bool {
		var started events.Started
		return e.Type() == string(s.Started()) && e.DataAs(&started) == nil && started.Attempt == attempt
	})
}

// open opens the gate of a stage.
func open(t *testing.T, p *platformtest.Process, run string, s events.Stage) {
	t.Helper()
	require.NoError(t, p.Bucket("refit").Put(t.Context(), small.Gate(run, s), nil))
}

// running waits for the process of the stage's first attempt.
func running(t *testing.T, p *platformtest.Process, run string, s events.Stage) session.ID {
	t.Helper()
	name := workload.Job{Run: run, Stage: s, Attempt: 1}.Name()
	var id session.ID
	require.Eventually(t, func() bool {
		r, err := p.Launcher().Get(t.Context(), name)
		id = r.Session
		return err == nil && id.Alive()
	}, time.Minute, 5*time.Millisecond)
	return id
}
