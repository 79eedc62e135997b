package pipeline_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// compiled is as much of the compiled pipeline as Kubeflow needs to run it.
type compiled struct {
	Components map[string]component
	Root       component
	Deployment struct {
		Executors map[string]struct{ Container container }
	} `json:"deploymentSpec"`

	// environment of each executor, from the second document.
	environment map[string]environment
}

type component struct {
	ExecutorLabel     string
	DAG               struct{ Tasks map[string]task }
	InputDefinitions  struct{ Parameters map[string]parameter }
	OutputDefinitions struct{ Parameters map[string]parameter }
}

type parameter struct {
	ParameterType string
	DefaultValue  any
}

type task struct {
	ComponentRef   struct{ Name string }
	DependentTasks []string
	Inputs         struct{ Parameters map[string]input }
	TriggerPolicy  struct{ Condition string }
}

type input struct {
	ComponentInputParameter string
	RuntimeValue            *struct{ Constant any }
	TaskOutputParameter     struct{ ProducerTask, OutputParameterKey string }
}

type container struct {
	Image         string
	Command, Args []string
}

type environment struct {
	ConfigMapAsEnv []struct {
		ConfigMapName string
		KeyToEnv      []struct{ ConfigMapKey, EnvVar string }
	}
	SecretAsEnv []struct {
		SecretName string
		KeyToEnv   []struct{ SecretKey, EnvVar string }
	}
}

// load reads the two documents of a compiled pipeline.
func load(t *testing.T, file string) compiled {
	t.Helper()
	body, err := os.ReadFile(file)
	require.NoError(t, err)
	documents := strings.Split(string(body), "\n---\n")
	require.Len(t, documents, 2)
	var c compiled
	require.NoError(t, yaml.Unmarshal([]byte(documents[0]), &c))
	var platform struct {
		Platforms struct {
			Kubernetes struct {
				DeploymentSpec struct{ Executors map[string]environment }
			}
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(documents[1]), &platform))
	c.environment = platform.Platforms.Kubernetes.DeploymentSpec.Executors
	return c
}

// values are parameters by name.
type values map[string]any

// step is a container with every placeholder replaced, and where it is to write
// its output parameters.
type step struct {
	task, executor string
	image          string
	command        []string
	outputs        map[string]string
}

// kubeflow runs a compiled pipeline as Kubeflow's driver and launcher do: one
// task after the other, those behind a condition only where it holds.
type kubeflow struct {
	pipeline compiled
	job      string
	folder   string
	run      func(step)
	// ran are the tasks whose containers ran, in order.
	ran []string
	// outputs are the output parameters by task.
	outputs map[string]values
}

func newKubeflow(t *testing.T, pipeline compiled, run func(step)) *kubeflow {
	t.Helper()
	return &kubeflow{pipeline: pipeline, job: "5a8e6a0c-0b5a-4c6b-9a43-3a1b0f6d2c11", folder: t.TempDir(), run: run, outputs: map[string]values{}}
}

// start runs the pipeline with the given parameters, the others at their
// defaults.
func (k *kubeflow) start(t *testing.T, given values) {
	t.Helper()
	inputs := values{}
	for name, p := range k.pipeline.Root.InputDefinitions.Parameters {
		inputs[name] = p.DefaultValue
	}
	for name, value := range given {
		require.Contains(t, inputs, name)
		inputs[name] = value
	}
	k.dag(t, k.pipeline.Root, inputs)
}

// dag runs the tasks of a graph, each after those that it depends on.
func (k *kubeflow) dag(t *testing.T, graph component, inputs values) {
	t.Helper()
	done := map[string]bool{}
	for len(done) < len(graph.DAG.Tasks) {
		before := len(done)
		for name, next := range graph.DAG.Tasks {
			if !done[name] && !slices.ContainsFunc(next.DependentTasks, func(d string) bool { return !done[d] }) {
				k.task(t, name, next, inputs)
				done[name] = true
			}
		}
		require.Greater(t, len(done), before, "the tasks wait for each other")
	}
}

func (k *kubeflow) task(t *testing.T, name string, next task, parent values) {
	t.Helper()
	inputs := values{}
	for parameter, from := range next.Inputs.Parameters {
		inputs[parameter] = k.resolve(t, from, parent)
	}
	if c := next.TriggerPolicy.Condition; c != "" && !holds(t, c, inputs) {
		return
	}
	what := k.pipeline.Components[next.ComponentRef.Name]
	if what.ExecutorLabel == "" {
		k.dag(t, what, inputs)
		return
	}
	k.container(t, name, what, inputs)
}

func (k *kubeflow) resolve(t *testing.T, from input, parent values) any {
	t.Helper()
	switch {
	case from.RuntimeValue != nil && from.RuntimeValue.Constant == "{{$.pipeline_job_uuid}}":
		return k.job
	case from.RuntimeValue != nil:
		return from.RuntimeValue.Constant
	case from.ComponentInputParameter != "":
		require.Contains(t, parent, from.ComponentInputParameter)
		return parent[from.ComponentInputParameter]
	default:
		made := k.outputs[from.TaskOutputParameter.ProducerTask]
		require.Contains(t, made, from.TaskOutputParameter.OutputParameterKey)
		return made[from.TaskOutputParameter.OutputParameterKey]
	}
}

// container runs a task's container and reads what it wrote.
func (k *kubeflow) container(t *testing.T, name string, what component, inputs values) {
	t.Helper()
	spec := k.pipeline.Deployment.Executors[what.ExecutorLabel].Container
	s := step{task: name, executor: what.ExecutorLabel, image: spec.Image, outputs: map[string]string{}}
	for parameter := range what.OutputDefinitions.Parameters {
		s.outputs[parameter] = filepath.Join(k.folder, name, "outputs", parameter)
		require.NoError(t, os.MkdirAll(filepath.Dir(s.outputs[parameter]), 0o777))
		require.NoError(t, os.Chmod(filepath.Dir(s.outputs[parameter]), 0o777))
	}
	for _, argument := range append(slices.Clone(spec.Command), spec.Args...) {
		s.command = append(s.command, replaced(t, argument, inputs, s.outputs))
	}
	k.run(s)
	k.ran = append(k.ran, name)
	k.outputs[name] = values{}
	for parameter, definition := range what.OutputDefinitions.Parameters {
		k.outputs[name][parameter] = readOutput(t, s.outputs[parameter], definition.ParameterType)
	}
}

var placeholder = regexp.MustCompile(`\{\{\$\.(inputs|outputs)\.parameters\['([^']+)'\](\.output_file)?\}\}`)

// replaced is an argument with its placeholders replaced as Kubeflow's launcher
// does it: by text, inside of the one argument.
func replaced(t *testing.T, argument string, inputs values, outputs map[string]string) string {
	t.Helper()
	text := placeholder.ReplaceAllStringFunc(argument, func(found string) string {
		part := placeholder.FindStringSubmatch(found)
		if part[1] == "outputs" {
			require.Equal(t, ".output_file", part[3])
			require.Contains(t, outputs, part[2])
			return outputs[part[2]]
		}
		require.Contains(t, inputs, part[2])
		return written(inputs[part[2]])
	})
	require.NotContains(t, text, "{{$")
	require.NotContains(t, text, `{"Concat"`, "Kubeflow's launcher does not concatenate")
	return text
}

// written is a value as the launcher writes it into an argument.
func written(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	default:
		body, err := json.Marshal(v)
		if err != nil {
			panic("impossible: a parameter that came from JSON")
		}
		return string(body)
	}
}

func readOutput(t *testing.T, file, kind string) any {
	t.Helper()
	body, err := os.ReadFile(file)
	require.NoError(t, err, "the launcher fails a step that writes not every output")
	if kind == "STRING" {
		return string(body)
	}
	var value any
	require.NoError(t, json.Unmarshal(body, &value), "%s of %s", kind, file)
	return value
}

var comparison = regexp.MustCompile(`^inputs\.parameter_values\['([^']+)'\] >= inputs\.parameter_values\['([^']+)'\]$`)

// holds evaluates the one form of condition that the pipeline has.
func holds(t *testing.T, condition string, inputs values) bool {
	t.Helper()
	names := comparison.FindStringSubmatch(condition)
	require.Len(t, names, 3, condition)
	left, isNumber := inputs[names[1]].(float64)
	require.True(t, isNumber, condition)
	right, isNumber := inputs[names[2]].(float64)
	require.True(t, isNumber, condition)
	return left >= right
}
