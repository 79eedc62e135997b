// Package servicetest checks, with the real program, what every service of the
// platform must do: answer, leave nothing behind, and survive a crash of refit.
package servicetest

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refit.dev/platform/service"
	"refit.dev/workload/process/session"
)

// patience is what a service may take to start on a busy machine.
const patience = 3 * time.Minute

// Python is the interpreter of the repository's environment, found from the
// working directory upwards. Without it the test fails.
func Python(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	require.NoError(t, err)
	for ; ; dir = filepath.Dir(dir) {
		python := filepath.Join(dir, ".venv", "bin", "python")
		if _, err := os.Stat(python); err == nil {
			return python
		}
		require.NotEqual(t, "/", dir, "the Python environment .venv is missing, make it with scripts/setup.sh")
	}
}

// Port is a free port.
func Port(t *testing.T) int {
	t.Helper()
	port, err := service.FreePort("127.0.0.1")
	require.NoError(t, err)
	return port
}

// Ready waits until s answers.
func Ready(t *testing.T, s *service.Service) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	began := time.Now()
	require.NoError(t, s.Ready(ctx))
	t.Logf("ready after %s", time.Since(began).Round(time.Millisecond))
}

// Session is the session of the service of that name in dir.
func Session(t *testing.T, dir, name string) session.ID {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name+".json"))
	require.NoError(t, err)
	var r struct {
		Session session.ID `json:"session"`
	}
	require.NoError(t, json.Unmarshal(b, &r))
	require.True(t, r.Session.Alive())
	return r.Session
}

// Gone requires that no process of id is left and that address is free.
func Gone(t *testing.T, id session.ID, address string) {
	t.Helper()
	members, err := id.Members()
	require.NoError(t, err)
	require.Empty(t, members)
	l, err := net.Listen("tcp", address)
	require.NoError(t, err)
	require.NoError(t, l.Close())
}
