package images_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"refit.dev/test/platformtest"
)

// ownLayers is how many layers a workload's image may have to itself: its code
// and the bytecode of it, with an engine's empty ones for settings.
const ownLayers = 4

func TestTheWorkloadsShareAllButTheirCode(t *testing.T) {
	first := inspect(t, workloads[0]).RootFS.Layers
	for _, name := range workloads {
		layers := inspect(t, name).RootFS.Layers
		shared := 0
		for shared < min(len(first), len(layers)) && first[shared] == layers[shared] {
			shared++
		}
		require.LessOrEqual(t, len(layers)-shared, ownLayers, "%s has %v besides %v", name, layers[shared:], layers[:shared])
	}
}

func TestTheWorkloadsHaveTheirSettings(t *testing.T) {
	for _, name := range workloads {
		require.Subset(t, inspect(t, name).Config.Env, []string{
			"HOME=/tmp", "PYTHONPATH=/app", "PYTHONUNBUFFERED=1", "OMP_WAIT_POLICY=passive",
			"FEAST_USAGE=False", "MLFLOW_DISABLE_TELEMETRY=true", "RAY_USAGE_STATS_ENABLED=0",
		}, name)
	}
}

func TestAStageWithoutItsSpecSaysSo(t *testing.T) {
	modules := map[string]struct{ image, module string }{
		"prepare":  {"data-prep", "refit_data_prep.prepare"},
		"features": {"data-prep", "refit_data_prep.features"},
		"train":    {"ray-train", "refit_ray_train.train"},
		"tune":     {"ray-train", "refit_ray_train.tune"},
		"register": {"mlflow-ops", "refit_mlflow_ops.evaluate"},
	}
	for stage, m := range modules {
		t.Run(stage, func(t *testing.T) {
			out, code := inspect(t, m.image).run(t.Context(), t, []string{"--entrypoint", "python"}, "-m", m.module)
			require.Equal(t, 2, code, out)
			require.Contains(t, out, "usage: python -m <module of stage "+stage+">")
		})
	}
}

// imports imports the modules of its arguments and prints those of all modules
// that came with them whose bytecode is not there.
const imports = `
import importlib, os, sys
for name in sys.argv[1:]: importlib.import_module(name)
files = {m.__cached__ for m in list(sys.modules.values()) if getattr(m, "__cached__", None) and m.__spec__ and m.__spec__.origin.endswith(".py")}
print(*sorted(f for f in files if not os.path.exists(f)), sep="\n")
`

func TestEveryModuleHasItsBytecode(t *testing.T) {
	modules := map[string]string{
		"data-prep":  "refit_data_prep.prepare refit_data_prep.features boto3 duckdb fast_mail_parser feast feast.infra.offline_stores.duckdb ibis polars pyarrow",
		"ray-train":  "refit_ray_train.train refit_ray_train.tune ray ray.data ray.train ray.tune ray.dashboard.dashboard mlflow optuna sklearn xgboost",
		"mlflow-ops": "refit_mlflow_ops.evaluate mlflow mlflow.pyfunc mlflow.server.fastapi_app matplotlib.pyplot sklearn xgboost",
	}
	for name, list := range modules {
		t.Run(name, func(t *testing.T) {
			arguments := append([]string{"-W", "ignore", "-c", imports}, strings.Fields(list)...)
			out, code := inspect(t, name).run(t.Context(), t, []string{"--entrypoint", "python"}, arguments...)
			require.Zero(t, code, out)
			require.Empty(t, strings.TrimSpace(out))
		})
	}
}

func TestRayStartsAsItsOperatorStartsIt(t *testing.T) {
	out := inspect(t, "ray-train").script(t, `
		ray --version
		ray start --head --dashboard-host=0.0.0.0 --metrics-export-port=8080 --num-cpus=1 --object-store-memory=80000000 >/tmp/start 2>&1 || { cat /tmp/start; exit 1; }
		for probe in 52365/api/local_raylet_healthz 8265/api/gcs_healthz; do
			wget --tries 60 --waitretry 1 --retry-connrefused --retry-on-http-error 503 -T 5 -q -O- "http://localhost:$probe" || { echo "no answer: $probe"; exit 1; }
		done`)
	require.Contains(t, out, "ray, version "+locked(t, "ray"))
	require.Equal(t, 2, strings.Count(out, "success"), out)
}

func TestMLflowServesFromTheImageOfTheOperations(t *testing.T) {
	out := inspect(t, "mlflow-ops").script(t, `
		mlflow --version
		mlflow server --host 127.0.0.1 --port 5000 --workers 1 --backend-store-uri sqlite:////tmp/mlflow.db --artifacts-destination /tmp/artifacts >/tmp/server 2>&1 &
		wget --tries 120 --waitretry 1 --retry-connrefused -T 5 -q -O- http://127.0.0.1:5000/health || { cat /tmp/server; exit 1; }`)
	require.Contains(t, out, "mlflow, version "+locked(t, "mlflow"))
	require.Contains(t, out, "OK")
}

// locked is the version of a package in the lock file of the images.
func locked(t *testing.T, name string) string {
	t.Helper()
	body, err := os.ReadFile(filepath.Join(platformtest.Root(), "docker/python/requirements.txt"))
	require.NoError(t, err)
	found := regexp.MustCompile(`(?m)^` + name + `==(\S+)`).FindSubmatch(body)
	require.NotNil(t, found, name)
	return string(found[1])
}
