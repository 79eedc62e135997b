package host

import (
	"runtime"

	"refit.dev/events"
	"refit.dev/workload"
	"refit.dev/workload/process"
)

// modules are the Python modules that run the stages, the same as in the images.
func modules() map[events.Stage]string {
	return map[events.Stage]string{
		events.Prepare:  "refit_data_prep.prepare",
		events.Features: "refit_data_prep.features",
		events.Train:    "refit_ray_train.train",
		events.Tune:     "refit_ray_train.tune",
		events.Register: "refit_mlflow_ops.evaluate",
	}
}

// preload is what the stages import. What an upload needs at once comes first and
// is served after the dashes, while the rest is imported. MLflow comes before
// Feast, which would otherwise put a plugin into it, see refit_contract.lean;
// what has no stage in its name is what libraries import when they are used.
func preload() []string {
	m := modules()
	return []string{
		"refit_contract.preload:contract", m[events.Prepare], "fast_mail_parser", "--",
		"refit_contract.tracking", m[events.Features], "feast.repo_operations", "feast.infra.compute_engines.local.compute",
		"feast.infra.offline_stores.duckdb", "ibis.backends.duckdb.converter",
		"refit_contract.preload:ray", m[events.Train], "refit_ray_train.distributed", "ray.dag", "pydantic.v1",
		m[events.Tune], "refit_ray_train.search", "optuna",
		m[events.Register], "mlflow.pyfunc.scoring_server", "matplotlib.backends.backend_agg", "matplotlib.figure",
	}
}

// command is what runs a workload.
func (h *Host) command() func(workload.Job) ([]string, error) {
	if h.c.Command != nil {
		return h.c.Command
	}
	return process.Python(h.c.Python, modules())
}

// warm is the program that forks the workloads, see refit_contract.warm: nil
// where the workloads are other programs, or where a fork of a program with so
// many libraries is not safe, which is everywhere but on Linux.
func (h *Host) warm() *process.Warm {
	if h.c.Cold || h.c.Command != nil || runtime.GOOS != "linux" {
		return nil
	}
	return &process.Warm{Command: warmCommand(h.c.Python, h.dir("workloads")), Env: h.workloadEnv(workload.Job{})}
}

// warmCommand is the command line of the warm program that writes below dir.
func warmCommand(python, dir string) []string {
	return append([]string{python, "-m", "refit_contract.warm", dir}, preload()...)
}
