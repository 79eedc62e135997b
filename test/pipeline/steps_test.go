package pipeline_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/platform/host"
	"refit.dev/stage/store"
	"refit.dev/test/platformtest"
	"refit.dev/workload"
)

var steps = []string{"prepare", "features", "train", "tune", "evaluate", "register"}

// model and key name nothing that a shell would leave alone.
const (
	model = "pipeline"
	key   = "in mail/$(touch x) ü; six hundred.mails"
)

func golden() string {
	return filepath.Join(platformtest.Root(), "pipeline/spam_detection_pipeline.yaml")
}

// pipelineFile is the compiled pipeline to run: the committed one, or with
// ENGINE one for the images at REGISTRY and IMAGE_TAG.
func pipelineFile(t *testing.T) string {
	t.Helper()
	if os.Getenv("ENGINE") == "" {
		return golden()
	}
	file := filepath.Join(t.TempDir(), "pipeline.yaml")
	command := exec.CommandContext(t.Context(), interpreter("python"), "pipeline/spam_detection_pipeline.py", "--output", file)
	command.Dir = platformtest.Root()
	out, err := command.CombinedOutput()
	require.NoError(t, err, string(out))
	return file
}

func interpreter(name string) string { return filepath.Join(platformtest.Root(), ".venv/bin", name) }

// cluster is where the steps run: as processes, or with ENGINE=docker (or
// podman) in the containers that the pipeline names.
type cluster struct {
	*platformtest.Platform

	pipeline compiled
	folder   string
}

// environment is what Kubernetes gives a step, by what the pipeline says.
func (c *cluster) environment(t *testing.T, executor string) []string {
	t.Helper()
	at := c.Connection()
	maps := map[string]map[string]string{
		"refit": {
			"AWS_ENDPOINT_URL_S3": at.S3.Endpoint, "AWS_REGION": at.S3.Region, "AWS_DEFAULT_REGION": at.S3.Region,
			"REFIT_BUCKET": at.S3.State, "REFIT_LANDING_BUCKET": at.S3.Landing, "REFIT_DEADLINE": "30m", "MLFLOW_TRACKING_URI": at.MLflow,
		},
		"refit-s3": {"AWS_ACCESS_KEY_ID": at.S3.AccessKey, "AWS_SECRET_ACCESS_KEY": at.S3.SecretKey},
	}
	var env []string
	given := c.pipeline.environment[executor]
	for _, source := range given.ConfigMapAsEnv {
		for _, k := range source.KeyToEnv {
			env = append(env, k.EnvVar+"="+maps[source.ConfigMapName][k.ConfigMapKey])
		}
	}
	for _, source := range given.SecretAsEnv {
		for _, k := range source.KeyToEnv {
			env = append(env, k.EnvVar+"="+maps[source.SecretName][k.SecretKey])
		}
	}
	require.NotEmpty(t, env)
	return env
}

// run runs a step to its end, which must be a good one.
func (c *cluster) run(t *testing.T) func(step) {
	return func(s step) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
		defer cancel()
		command := c.process(ctx, s, c.environment(t, s.executor))
		if engine := os.Getenv("ENGINE"); engine != "" {
			command = c.container(ctx, engine, s, c.environment(t, s.executor))
		}
		var out bytes.Buffer
		command.Stdout, command.Stderr = &out, &out
		begun := time.Now()
		err := command.Run()
		require.NoError(t, err, "%s\n%s", s.task, out.String())
		t.Logf("%s took %.1f s", s.task, time.Since(begun).Seconds())
	}
}

// process is a step as a process of this machine, with what its image sets.
func (c *cluster) process(ctx context.Context, s step, env []string) *exec.Cmd {
	command := exec.CommandContext(ctx, interpreter(s.command[0]), s.command[1:]...)
	var path []string
	for _, folder := range []string{"contract", "data-prep", "ray-train", "mlflow-ops"} {
		path = append(path, filepath.Join(platformtest.Root(), "docker", folder))
	}
	command.Dir = c.folder
	command.Env = append([]string{
		"PATH=" + interpreter("") + ":" + os.Getenv("PATH"), "HOME=" + c.folder, "LANG=C.UTF-8",
		"PYTHONPATH=" + strings.Join(path, ":"), "PYTHONUNBUFFERED=1", "OMP_WAIT_POLICY=passive",
	}, env...)
	return command
}

// container is a step in its image, which sees the platform on this machine.
func (c *cluster) container(ctx context.Context, engine string, s step, env []string) *exec.Cmd {
	args := []string{"container", "run", "--rm", "--network", "host", "--entrypoint", s.command[0]}
	for _, folder := range outputFolders(s) {
		args = append(args, "--volume", folder+":"+folder)
	}
	for _, setting := range env {
		args = append(args, "--env", setting)
	}
	return exec.CommandContext(ctx, engine, append(append(args, s.image), s.command[1:]...)...)
}

func outputFolders(s step) []string {
	var folders []string
	for _, file := range s.outputs {
		folders = append(folders, filepath.Dir(file))
	}
	slices.Sort(folders)
	return slices.Compact(folders)
}

// state is the bucket in which the runs lie.
func (c *cluster) state() store.Bucket {
	at := c.Connection().S3
	return store.NewS3(store.S3Config{Endpoint: at.Endpoint, Region: at.Region, AccessKey: at.AccessKey, SecretKey: at.SecretKey}.Client(), at.State)
}

// strict decodes an object of the state bucket, which may have no field that
// the type lacks, and must match the schema.
func (c *cluster) strict(t *testing.T, key, schema string, into any) {
	t.Helper()
	o, err := c.state().Get(t.Context(), key)
	require.NoError(t, err)
	require.NoError(t, events.ValidateJSON(schema, o.Body))
	d := json.NewDecoder(bytes.NewReader(o.Body))
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(into), key)
}

func TestTheCompiledStepsRegisterAModel(t *testing.T) {
	p, err := platformtest.Start(t.TempDir(), func(*host.Config) {})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	c := &cluster{Platform: p, pipeline: load(t, pipelineFile(t)), folder: t.TempDir()}
	// Not a .parquet by its name: the functions start no run of their own.
	c.Upload(t, key, c.Sample(t, 600), nil)

	var again step
	run := c.run(t)
	k := newKubeflow(t, c.pipeline, func(s step) {
		run(s)
		if s.task == "prepare" || s.task == "register" { // a retry, as if the first try's answer was lost
			again = s
			run(s)
		}
	})
	k.start(t, values{"entity_data_path": key, "num_hpo_trials": 3.0, "f1_threshold": 0.7, "model_name": model})

	require.Equal(t, steps, k.ran)
	require.Equal(t, "register", again.task)
	id := k.outputs["prepare"]["run"].(string)
	c.checkState(t, k, id)
	c.checkModel(t, k, id)
	require.Empty(t, c.Launched(t, id), "a run has one conductor")
}

// checkState looks at what the steps left in the store: what functions leave.
func (c *cluster) checkState(t *testing.T, k *kubeflow, id string) {
	t.Helper()
	prefix := "kubeflow/runs/" + id + "/"
	var run events.Run
	c.strict(t, prefix+"run.json", "run.started", &run)
	require.Equal(t, id, run.ID)
	require.Equal(t, events.Cause{Type: "kubeflow-pipelines.run", Source: "kubeflow-pipelines", ID: k.job}, run.Cause)
	wanted, err := events.Defaults().With(map[string]any{
		"entity_data_path": key, "num_hpo_trials": 3, "f1_threshold": 0.7, "model_name": model,
	})
	require.NoError(t, err)
	require.Equal(t, wanted, run.Parameters)

	attempts := map[events.Stage]int{events.Prepare: 2}
	for i, s := range events.Stages() {
		folder := fmt.Sprintf("%s%s/%d/", prefix, s, max(1, attempts[s]))
		var spec workload.Spec
		c.strict(t, folder+"spec.json", "spec", &spec)
		require.Equal(t, "s3://"+c.Connection().S3.State+"/"+folder, spec.Output)
		require.Equal(t, spec.Output+"result.json", k.outputs[steps[i]]["result"])
		require.Equal(t, c.pipeline.Deployment.Executors["exec-"+steps[i]].Container.Image, spec.Image)
		require.Equal(t, run.Data, spec.Data)
		require.Equal(t, run.Parameters, spec.Parameters)
		reads := readContract(t).Reads[s]
		require.Subset(t, append(reads.Required, reads.Optional...), slices.Collect(maps.Keys(spec.Inputs)))
	}
}

// checkModel looks at the registry: one version, the champion, with its tags.
func (c *cluster) checkModel(t *testing.T, k *kubeflow, id string) {
	t.Helper()
	versions := c.Versions(t, model)
	require.Len(t, versions, 1, "a retry registers nothing more")
	require.Equal(t, values{"version": "1", "alias": "champion", "reason": "this version is the champion"}, k.outputs["register"])
	for tag, want := range map[string]string{
		"refit.run":   id,
		"refit.f1":    fmt.Sprintf("%.4f", k.outputs["evaluate"]["f1"]),
		"refit.image": c.pipeline.Deployment.Executors["exec-evaluate"].Container.Image,
		"refit.data":  "s3://" + c.Connection().S3.Landing + "/" + key,
	} {
		require.Equal(t, want, versions[0].Tag(tag), tag)
	}
	require.Regexp(t, "^sha256:[0-9a-f]{64}$", versions[0].Tag("refit.data_digest"))
	require.NotEmpty(t, versions[0].Tag("refit.winner"))
	var alias struct {
		Version struct{ Version string } `json:"model_version"`
	}
	query := url.Values{"name": {model}, "alias": {"champion"}}
	platformtest.GetJSON(t, c.Connection().MLflow+"/api/2.0/mlflow/registered-models/alias?"+query.Encode(), "", &alias)
	require.Equal(t, "1", alias.Version.Version)
}

func TestTheGateIsTakenFromTheThresholdOn(t *testing.T) {
	for name, tc := range map[string]struct {
		threshold float64
		want      []string
	}{
		"a model below the threshold is not registered": {threshold: 0.999, want: steps[:5]},
		"a model that reaches it is":                    {threshold: 0.9, want: steps},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKubeflow(t, load(t, golden()), func(s step) {
				for parameter, file := range s.outputs {
					require.NoError(t, os.WriteFile(file, []byte(map[string]string{"f1": "0.9", "artifacts": "{}"}[parameter]), 0o600))
				}
			})
			k.start(t, values{"f1_threshold": tc.threshold})
			require.Equal(t, tc.want, k.ran)
		})
	}
}
