package host

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// safe are the threads that a fork of the warm program may lack: those of
// jemalloc and OpenBLAS, which see to forks themselves (OpenBLAS's have no name
// of their own), and Polars's that deletes spilled files, which waits for work.
var safe = []string{"python", "jemalloc_bg_thd", "polars-ooc-clea"}

// The warm program loads all that it is told to, and has no thread then that a
// fork would miss.
func TestTheWarmProgramIsFitToFork(t *testing.T) {
	dir := t.TempDir()
	h := &Host{c: Config{Source: "../.."}}
	python, err := filepath.Abs("../../.venv/bin/python")
	require.NoError(t, err)
	ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	control, theirs := os.NewFile(uintptr(ends[0]), "control"), os.NewFile(uintptr(ends[1]), "theirs")
	log := filepath.Join(dir, "log")
	out, err := os.Create(log)
	require.NoError(t, err)

	args := warmCommand(python, dir)
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Dir, cmd.Stderr, cmd.ExtraFiles = dir, out, []*os.File{theirs}
	cmd.Env = []string{"PYTHONPATH=" + absolute(t, h.pythonPath()), "HOME=" + dir, "MLFLOW_DISABLE_TELEMETRY=true", "REFIT_CPUS=2"}
	require.NoError(t, cmd.Start())
	require.NoError(t, theirs.Close())

	var said string
	require.Eventually(t, func() bool {
		text, err := os.ReadFile(log)
		said = string(text)
		return err == nil && strings.Contains(said, " warm: ")
	}, 2*time.Minute, 50*time.Millisecond, &said)
	t.Log(said)
	require.NotContains(t, said, "cannot load")
	require.Subset(t, safe, threads(t, cmd.Process.Pid))

	require.NoError(t, control.Close())
	require.NoError(t, cmd.Wait(), "it ends with its platform")
}

// absolute is a PYTHONPATH of absolute folders.
func absolute(t *testing.T, path []string) string {
	t.Helper()
	for i := range path {
		var err error
		path[i], err = filepath.Abs(path[i])
		require.NoError(t, err)
	}
	return strings.Join(path, ":")
}

// threads are the names of a process's threads.
func threads(t *testing.T, pid int) []string {
	t.Helper()
	tasks, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task/*/comm"))
	require.NoError(t, err)
	var names []string
	for _, task := range tasks {
		name, err := os.ReadFile(task)
		require.NoError(t, err)
		names = append(names, strings.TrimSpace(string(name)))
	}
	return names
}
