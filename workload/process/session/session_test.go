package session

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// start starts a shell script and returns its session when it wrote a line.
func start(t *testing.T, script string) (ID, *exec.Cmd) {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.Env = append(os.Environ(), "SESSION_TEST="+t.Name())
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	id, err := Start(cmd)
	require.NoError(t, err)
	_, err = bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, id.End(context.Background(), 0))
		_ = cmd.Wait()
	})
	return id, cmd
}

func TestEndReachesEveryDescendant(t *testing.T) {
	for name, script := range map[string]string{
		"a child":                             `sleep 60 & echo ready; wait`,
		"a child that ignores the request":    `trap '' TERM; sleep 60 & echo ready; wait; wait`,
		"a stubborn child of its own session": `setsid sh -c 'trap "" TERM; sleep 60; sleep 60' & sleep 0.1; echo ready; wait`,
		"a child of a session of its own":     `setsid sleep 60 & sleep 0.1; echo ready; wait`,
		"a child in a group of its own":       `set -m; sleep 60 & echo ready; wait`,
		"a grandchild whose parent is gone":   `(sleep 60 &); echo ready; sleep 60`,
		"a child whose session has no head":   `sleep 60 & echo ready; exit 0`,
	} {
		t.Run(name, func(t *testing.T) {
			id, _ := start(t, script)
			members, err := id.Members()
			require.NoError(t, err)
			require.NotEmpty(t, members)
			require.NoError(t, id.End(context.Background(), 100*time.Millisecond))
			members, err = id.Members()
			require.NoError(t, err)
			require.Empty(t, members)
		})
	}
}

func TestAliveTellsProcessesOfOneNumberApart(t *testing.T) {
	id, cmd := start(t, `echo ready; exec sleep 60`)
	require.True(t, id.Alive())

	other := ID{PID: id.PID, Start: id.Start - 1, Boot: id.Boot}
	require.False(t, other.Alive())
	require.NoError(t, other.End(context.Background(), 0))
	require.False(t, ID{PID: id.PID, Start: id.Start, Boot: "another"}.Alive())
	require.False(t, ID{}.Alive())
	require.True(t, id.Alive(), "another's end must not reach it")

	require.NoError(t, id.Signal(syscall.SIGKILL))
	require.NoError(t, id.Wait(context.Background()), "a zombie is not alive")
	require.False(t, id.Alive())
	require.Error(t, cmd.Wait())
}

func TestWaitEndsWithItsContext(t *testing.T) {
	id, _ := start(t, `echo ready; exec sleep 60`)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, id.Wait(ctx), context.Canceled)
}

func TestFindKnowsAProcessByItsEnvironment(t *testing.T) {
	id, _ := start(t, `echo ready; exec sleep 60`)
	found, err := Find("SESSION_TEST=" + t.Name())
	require.NoError(t, err)
	require.Equal(t, id, found)
	found, err = Find("SESSION_TEST=nobody")
	require.NoError(t, err)
	require.Zero(t, found)
}

func TestStartFails(t *testing.T) {
	_, err := Start(exec.Command("/nowhere/program"))
	require.ErrorContains(t, err, "start /nowhere/program")
}
