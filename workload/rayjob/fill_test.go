package rayjob_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"

	"refit.dev/events"
	"refit.dev/workload"
	"refit.dev/workload/kube"
	"refit.dev/workload/rayjob"
)

// filling is what refit adds to a template.
func filling() kube.Filling {
	return kube.Filling{
		Job: workload.Job{
			Run: "r-1", Stage: events.Train, Attempt: 1, Spec: "s3://refit/runs/r-1/train/1/spec.json", Image: "ray-train:1",
		},
		Labels: map[string]string{"refit.dev/run": "r-1"}, Seconds: 3600,
	}
}

func manifest(t *testing.T, text string) *unstructured.Unstructured {
	var object map[string]any
	body, err := yaml.YAMLToJSON([]byte(text))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(body, &object))
	return &unstructured.Unstructured{Object: object}
}

// below is what lies at the dotted path in object; 0 is the first of a list.
func below(t *testing.T, object any, path string) any {
	for name := range strings.SplitSeq(path, ".") {
		if name == "0" {
			object = object.([]any)[0]
			continue
		}
		require.Contains(t, object, name, path)
		object = object.(map[string]any)[name]
	}
	return object
}

const workers = `
apiVersion: ray.io/v1
kind: RayJob
spec:
  entrypoint: python -m refit_ray_train.train
  shutdownAfterJobFinishes: true
  rayClusterSpec:
    headGroupSpec:
      template:
        metadata: {labels: {team: mail, refit.dev/run: replaced}}
        spec:
          containers:
            - {name: head, image: replaced, env: [{name: A, value: b}, {name: REFIT_SPEC, value: replaced}]}
            - {name: sidecar, image: kept}
    workerGroupSpecs:
      - template: {spec: {containers: [{name: worker}]}}
`

func TestEveryPodIsFilled(t *testing.T) {
	object := manifest(t, workers)
	require.NoError(t, rayjob.Kind{}.Fill(object, filling()))
	spec := map[string]any{"name": "REFIT_SPEC", "value": "s3://refit/runs/r-1/train/1/spec.json"}
	for path, want := range map[string]struct {
		labels map[string]any
		env    []any
	}{
		"spec.rayClusterSpec.headGroupSpec.template": {
			labels: map[string]any{"team": "mail", "refit.dev/run": "r-1"},
			env:    []any{map[string]any{"name": "A", "value": "b"}, spec},
		},
		"spec.rayClusterSpec.workerGroupSpecs.0.template": {labels: map[string]any{"refit.dev/run": "r-1"}, env: []any{spec}},
		"spec.submitterPodTemplate":                       {labels: map[string]any{"refit.dev/run": "r-1"}, env: []any{spec}},
	} {
		require.Equal(t, want.labels, below(t, object.Object, path+".metadata.labels"), path)
		require.Equal(t, want.env, below(t, object.Object, path+".spec.containers.0.env"), path)
		require.Equal(t, "ray-train:1", below(t, object.Object, path+".spec.containers.0.image"), path)
	}
	require.EqualValues(t, 3600, below(t, object.Object, "spec.activeDeadlineSeconds"))
	require.Equal(t, "python -m refit_ray_train.train", below(t, object.Object, "spec.entrypoint"), "nothing of a job reaches a shell")
	sidecar := below(t, object.Object, "spec.rayClusterSpec.headGroupSpec.template.spec.containers").([]any)[1]
	require.Equal(t, map[string]any{"name": "sidecar", "image": "kept"}, sidecar)
}

func TestTheTemplatesOfThisRepositoryCanBeFilled(t *testing.T) {
	for _, stage := range []string{"train", "tune"} {
		text, err := os.ReadFile("../../config/workloads/" + stage + ".yaml")
		require.NoError(t, err)
		object := manifest(t, string(text))
		require.NoError(t, rayjob.Kind{}.Fill(object, filling()), stage)
		require.Equal(t, "python -m refit_ray_train."+stage, below(t, object.Object, "spec.entrypoint"))
	}
}

func TestTemplatesThatAreRefused(t *testing.T) {
	for name, tc := range map[string]struct{ old, new, want string }{
		"another way to submit":        {"entrypoint:", "submissionMode: SidecarMode\n  entrypoint:", `spec.submissionMode is "SidecarMode": accepted is K8sJobMode`},
		"attempts of KubeRay":          {"entrypoint:", "backoffLimit: 3\n  entrypoint:", "spec.backoffLimit is 3: accepted is 0"},
		"a cluster of somebody":        {"entrypoint:", "clusterSelector: {a: b}\n  entrypoint:", "spec.clusterSelector is set"},
		"no command":                   {"entrypoint: python -m refit_ray_train.train", "", "spec.entrypoint is empty"},
		"what cannot be cancelled":     {"shutdownAfterJobFinishes: true", "", "spec.shutdownAfterJobFinishes is not true"},
		"no container":                 {"[{name: worker}]", "[]", "spec.rayClusterSpec.workerGroupSpecs[0].template: spec.containers is empty"},
		"a container that is none":     {"[{name: worker}]", "[worker]", "spec.containers[0] is string: accepted is an object"},
		"an env that is none":          {"{name: worker}", "{name: worker, env: {A: b}}", "env is map[string]interface {}: accepted is a list"},
		"a cluster that is none":       {"rayClusterSpec:", "rayClusterSpec: big\n  other:", "spec.rayClusterSpec is string"},
		"a head that is none":          {"headGroupSpec:", "headGroupSpec: big\n    other:", "spec.rayClusterSpec.headGroupSpec is string"},
		"a group that is none":         {"- template: {spec: {containers: [{name: worker}]}}", "- big", "spec.rayClusterSpec.workerGroupSpecs[0] is string"},
		"a pod template that is none":  {"- template: {spec: {containers: [{name: worker}]}}", "- template: big", "spec.rayClusterSpec.workerGroupSpecs[0].template is string"},
		"a submitter that is none":     {"entrypoint:", "submitterPodTemplate: [a]\n  entrypoint:", "spec.submitterPodTemplate is []interface {}"},
		"metadata of a pod that is no": {"metadata: {labels: {team: mail, refit.dev/run: replaced}}", "metadata: a", "metadata is string"},
		"labels of a pod that are no":  {"metadata: {labels: {team: mail, refit.dev/run: replaced}}", "metadata: {labels: a}", "labels is string"},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(workers, tc.old, tc.new, 1)
			require.NotEqual(t, workers, text)
			require.ErrorContains(t, rayjob.Kind{}.Fill(manifest(t, text), filling()), tc.want)
		})
	}
	require.ErrorContains(t, rayjob.Kind{}.Fill(manifest(t, "spec: a"), filling()), "spec is string")
}
