package platformtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refit.dev/platform/host"
	"refit.dev/platform/service"
)

// Process is a platform in a process of its own, the refit binary's.
type Process struct {
	*Platform

	// Dir is the data folder.
	Dir string

	command *exec.Cmd
	dead    chan struct{} // closed when the process is gone
}

// ports are the ports of a data folder: as with the default ones, what a killed
// platform leaves running finds the next one where the old one was.
var ports sync.Map

// Ports are free ports, always the same ones for a data folder.
func Ports(t testing.TB, dir string) host.Ports {
	t.Helper()
	if known, found := ports.Load(dir); found {
		return known.(host.Ports) //nolint:forcetypeassert // nothing else is stored
	}
	var p host.Ports
	for _, number := range []*int{&p.Broker, &p.S3, &p.NATS, &p.MLflow, &p.RayDashboard, &p.RayGCS} {
		var err error
		*number, err = service.FreePort("127.0.0.1")
		require.NoError(t, err)
	}
	ports.Store(dir, p)
	return p
}

// Refit is the refit binary on a data folder, on its Ports. It is interrupted,
// as by Ctrl-C, when the test ends.
func Refit(t testing.TB, dir string, args ...string) *exec.Cmd {
	t.Helper()
	command := exec.CommandContext(t.Context(), filepath.Join(Root(), "bin/refit"), append(args, "--dir", dir)...)
	command.Dir = Root()
	command.Env = os.Environ()
	p := Ports(t, dir)
	for name, number := range map[string]int{
		"BROKER": p.Broker, "S3": p.S3, "NATS": p.NATS, "MLFLOW": p.MLflow, "RAY_DASHBOARD": p.RayDashboard, "RAY_GCS": p.RayGCS,
	} {
		command.Env = append(command.Env, "REFIT_PORT_"+name+"="+strconv.Itoa(number))
	}
	return interruptible(command)
}

func interruptible(command *exec.Cmd) *exec.Cmd {
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = time.Minute
	return command
}

// Up runs refit up on a data folder until Interrupt, Kill or the test's end.
func Up(t testing.TB, dir string) *Process {
	t.Helper()
	return Spawn(t, dir, Refit(t, dir, "up", "--quiet", "--sweep", "10s"))
}

// Spawn runs a command that is a platform on a data folder, until Interrupt,
// Kill or the test's end, and waits for it to come up.
func Spawn(t testing.TB, dir string, command *exec.Cmd) *Process {
	t.Helper()
	p := Begin(t, command)
	p.Dir = dir
	var c host.Connection
	require.Eventually(t, func() bool {
		found, err := host.ReadConnection(dir)
		c = found
		return err == nil && c.PID == command.Process.Pid || p.Dead()
	}, time.Minute, 5*time.Millisecond, "the platform does not come up")
	require.False(t, p.Dead(), "the platform ended while it came up")
	p.Connection = func() host.Connection { return c }
	require.NoError(t, p.connect())
	return p
}

// Begin runs a command that is a platform and does not wait for it.
func Begin(t testing.TB, command *exec.Cmd) *Process {
	t.Helper()
	if command.Stderr == nil {
		command.Stderr = os.Stderr
	}
	require.NoError(t, interruptible(command).Start())
	p := &Process{Platform: &Platform{close: func() error { return nil }}, command: command, dead: make(chan struct{})}
	go func() {
		_ = command.Wait() // how it ended is the test's to say
		close(p.dead)
	}()
	t.Cleanup(p.Interrupt)
	return p
}

// Interrupt ends the platform as Ctrl-C does, and waits for it.
func (p *Process) Interrupt() { p.end(os.Interrupt) }

// Kill ends the platform's process, and nothing else, at once.
func (p *Process) Kill() { p.end(os.Kill) }

// Died is closed when the process is gone.
func (p *Process) Died() <-chan struct{} { return p.dead }

// Dead tells whether the process is gone.
func (p *Process) Dead() bool {
	select {
	case <-p.dead:
		return true
	default:
		return false
	}
}

// end sends a signal and waits for the process to be gone, which it may be.
func (p *Process) end(signal os.Signal) {
	_ = p.command.Process.Signal(signal) // it may just have ended
	<-p.dead
	if p.nats != nil {
		p.nats.Close()
	}
}

// Answers tells whether MLflow and Ray answer.
func (p *Process) Answers(t testing.TB) bool {
	t.Helper()
	c := p.Connection()
	token, err := os.ReadFile(filepath.Join(p.Dir, "ray", "token"))
	if err != nil {
		return false
	}
	ctx := t.Context()
	return service.Answers(c.MLflow+"/health", "")(ctx) == nil && service.Answers(c.Ray.URL+"/api/version", string(token))(ctx) == nil
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
