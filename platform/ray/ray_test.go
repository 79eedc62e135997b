package ray_test

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"refit.dev/platform/ray"
	"refit.dev/platform/service/servicetest"
)

// driver runs a task on the head and prints where it ran.
const driver = `
import ray, answer
ray.init(log_to_driver=False)
@ray.remote
def where():
    import answer, os
    return answer.VALUE, os.environ["GIVEN"], os.path.basename(os.environ["HOME"])[:9]
print(ray.get(where.remote()), ray.get_runtime_context().gcs_address, int(ray.cluster_resources()["CPU"]))
`

// TestHead starts the real head, leaves it alone as a crash does, takes it over,
// runs a task on it, and ends it with the workers that the task made.
func TestHead(t *testing.T) {
	dir, packages := t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(packages, "answer.py"), []byte("VALUE = 42\n"), 0o600))
	cfg := ray.Config{
		Python: servicetest.Python(t), Dir: dir, Port: servicetest.Port(t), DashboardPort: servicetest.Port(t),
		CPUs: 1, PythonPath: []string{packages}, Env: []string{"GIVEN=yes"},
	}
	once := cfg
	once.Restarts = -1
	crashed, err := ray.Start(t.Context(), once)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, crashed.Close(context.Background())) })
	servicetest.Ready(t, crashed.Service)
	id := servicetest.Session(t, dir, "ray")
	info, err := os.Stat(crashed.TokenPath)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	h, err := ray.Start(t.Context(), cfg)
	require.NoError(t, err)
	servicetest.Ready(t, h.Service)
	require.Equal(t, id, servicetest.Session(t, dir, "ray"), "the head that runs is taken over")

	res, err := http.Get(h.DashboardURL + "/api/version")
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusUnauthorized, res.StatusCode, "without the token")

	cmd := exec.CommandContext(t.Context(), cfg.Python, "-c", driver)
	cmd.Env = append(h.Env(), "HOME="+t.TempDir(), "PYTHONPATH="+packages)
	out, err := cmd.Output()
	require.NoError(t, err)
	require.Equal(t, "(42, 'yes', 'refit-ray') "+h.Address+" 1\n", string(out))

	members, err := id.Members()
	require.NoError(t, err)
	requireLoopback(t, members)
	require.NoError(t, h.Close(context.Background()))
	servicetest.Gone(t, id, h.Address)
}

func TestStartRefusesRelativePaths(t *testing.T) {
	_, err := ray.Start(t.Context(), ray.Config{Python: "python", Dir: "data"})
	require.ErrorContains(t, err, `Python "python" and Dir "data" must be absolute paths`)
}
