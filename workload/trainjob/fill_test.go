package trainjob_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"refit.dev/events"
	"refit.dev/workload"
	"refit.dev/workload/kube"
	"refit.dev/workload/trainjob"
)

// filling is what refit adds to a template.
func filling() kube.Filling {
	return kube.Filling{
		Job: workload.Job{
			Run: "r-1", Stage: events.Prepare, Attempt: 1, Spec: "s3://refit/runs/r-1/prepare/1/spec.json", Image: "data-prep:1",
		},
		Labels: map[string]string{"refit.dev/run": "r-1"}, Seconds: 3600,
	}
}

func manifest(t *testing.T, text string) *unstructured.Unstructured {
	object := map[string]any{}
	require.NoError(t, yaml.Unmarshal([]byte(text), &object))
	return &unstructured.Unstructured{Object: object}
}

const template = `
apiVersion: trainer.kubeflow.org/v1alpha1
kind: TrainJob
spec:
  runtimeRef: {kind: TrainingRuntime, name: refit-workload}
  trainer: {image: replaced, command: [python], env: [{name: A, value: b}]}
  runtimePatches: [{manager: example.com/platform}]
`

func TestTheTrainerIsFilled(t *testing.T) {
	object := manifest(t, template)
	require.NoError(t, trainjob.Kind{}.Fill(object, filling()))
	require.Equal(t, map[string]any{
		"runtimeRef":            map[string]any{"kind": "TrainingRuntime", "name": "refit-workload"},
		"activeDeadlineSeconds": int64(3600),
		"trainer": map[string]any{
			"image": "data-prep:1", "command": []any{"python"},
			"env": []any{
				map[string]any{"name": "A", "value": "b"},
				map[string]any{"name": "REFIT_SPEC", "value": "s3://refit/runs/r-1/prepare/1/spec.json"},
			},
		},
		"runtimePatches": []any{map[string]any{"manager": "example.com/platform"}, manifest(t, `
manager: refit.dev/launcher
trainingRuntimeSpec:
  template:
    spec:
      replicatedJobs:
        - name: node
          template: {spec: {template: {metadata: {labels: {refit.dev/run: r-1}}}}}
`).Object},
	}, object.Object["spec"])
}

func TestTheTemplatesOfThisRepositoryCanBeFilled(t *testing.T) {
	for _, stage := range []string{"prepare", "features", "register"} {
		text, err := os.ReadFile("../../config/workloads/" + stage + ".yaml")
		require.NoError(t, err)
		require.NoError(t, trainjob.Kind{}.Fill(manifest(t, string(text)), filling()), stage)
	}
}

func TestTemplatesThatAreRefused(t *testing.T) {
	for name, tc := range map[string]struct{ old, new, want string }{
		"no runtime":             {"name: refit-workload", "a: b", "spec.runtimeRef.name is empty"},
		"a runtime that is none": {"runtimeRef: {kind: TrainingRuntime, name: refit-workload}", "runtimeRef: torch", "spec.runtimeRef is string"},
		"a trainer that is none": {"trainer: {", "trainer: [{", "spec.trainer is []interface {}"},
		"an env that is none":    {"env: [{name: A, value: b}]", "env: A", "spec.trainer.env is string: accepted is a list"},
		"patches that are none":  {"runtimePatches: [{manager: example.com/platform}]", "runtimePatches: a", "spec.runtimePatches is string: accepted is a list"},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(template, tc.old, tc.new, 1)
			if strings.Contains(tc.new, "[{") {
				text = strings.Replace(text, "value: b}]}", "value: b}]}]", 1)
			}
			require.NotEqual(t, template, text)
			require.ErrorContains(t, trainjob.Kind{}.Fill(manifest(t, text), filling()), tc.want)
		})
	}
	require.ErrorContains(t, trainjob.Kind{}.Fill(manifest(t, "spec: a"), filling()), "spec is string")
}
