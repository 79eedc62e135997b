package mlflow_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"refit.dev/platform/mlflow"
	"refit.dev/platform/service/servicetest"
)

// TestServer starts the real server, leaves it alone as a crash does, takes it
// over, and ends it.
func TestServer(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"mlflow.db.new", "mlflow.db.new-journal"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("half"), 0o600), "what a server left that was killed in its first start")
	}
	cfg := mlflow.Config{Python: servicetest.Python(t), Dir: dir, Port: servicetest.Port(t)}
	once := cfg
	once.Restarts = -1
	crashed, err := mlflow.Start(t.Context(), once)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, crashed.Close(context.Background())) })
	servicetest.Ready(t, crashed.Service)
	id := servicetest.Session(t, dir, "mlflow")

	s, err := mlflow.Start(t.Context(), cfg)
	require.NoError(t, err)
	servicetest.Ready(t, s.Service)
	require.Equal(t, id, servicetest.Session(t, dir, "mlflow"), "the server that runs is taken over")

	res, err := http.Post(s.URL+"/api/2.0/mlflow/experiments/create", "application/json", strings.NewReader(`{"name":"mails"}`))
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.FileExists(t, filepath.Join(dir, "mlflow.db"))

	require.NoError(t, s.Close(context.Background()))
	servicetest.Gone(t, id, strings.TrimPrefix(s.URL, "http://"))
}

func TestStartRefusesRelativePaths(t *testing.T) {
	_, err := mlflow.Start(t.Context(), mlflow.Config{Python: "python", Dir: "data"})
	require.ErrorContains(t, err, `Python "python" and Dir "data" must be absolute paths`)
}
