package platformtest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refit.dev/platform/host"
)

// Process is a platform in a process of its own, the refit binary's.
type Process struct {
	*Platform

	command *exec.Cmd
}

// Refit is the refit binary on a data folder, all its ports free ones. It is
// interrupted, as by Ctrl-C, when ctx is done.
func Refit(ctx context.Context, dir string, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, filepath.Join(Root(), "bin/refit"), append(args, "--dir", dir)...)
	command.Dir = Root()
	command.Env = os.Environ()
	for _, name := range []string{"BROKER", "S3", "NATS", "MLFLOW", "RAY_DASHBOARD", "RAY_GCS"} {
		command.Env = append(command.Env, "REFIT_PORT_"+name+"=0")
	}
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = time.Minute
	return command
}

// Up runs refit up on a data folder until Interrupt, Kill or the test's end.
func Up(t testing.TB, dir string) *Process {
	t.Helper()
	command := Refit(t.Context(), dir, "up", "--quiet", "--sweep", "10s")
	command.Stderr = os.Stderr
	require.NoError(t, command.Start())
	p := &Process{Platform: &Platform{close: func() error { return nil }}, command: command}
	t.Cleanup(p.Interrupt)
	var c host.Connection
	require.Eventually(t, func() bool {
		found, err := host.ReadConnection(dir)
		c = found
		return err == nil && c.PID == command.Process.Pid
	}, time.Minute, 20*time.Millisecond, "the platform does not come up")
	p.Connection = func() host.Connection { return c }
	require.NoError(t, p.connect())
	return p
}

// Interrupt ends the platform as Ctrl-C does, and waits for it.
func (p *Process) Interrupt() { p.end(os.Interrupt) }

// Kill ends the platform's process, and nothing else, at once.
func (p *Process) Kill() { p.end(os.Kill) }

// end sends a signal and waits. A process that ended before is left alone.
func (p *Process) end(signal os.Signal) {
	if p.command.ProcessState != nil {
		return
	}
	_ = p.command.Process.Signal(signal) // it may just have ended
	_ = p.command.Wait()                 // by the signal
	p.nats.Close()
}

// Leftovers are the processes that name the data folder.
func Leftovers(t testing.TB, dir string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ps", "-eo", "pid=,args=").Output()
	require.NoError(t, err)
	var found []string
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, dir) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}
