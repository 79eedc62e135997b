package kube_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"refit.dev/events"
	"refit.dev/workload"
	"refit.dev/workload/kube"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// job is one that has 90 minutes.
func job() workload.Job {
	return workload.Job{
		Run: "r-20261123-060000-0a1b2c3d", Stage: events.Prepare, Attempt: 2, Image: "data-prep:1",
		Spec: "s3://refit/runs/r-20261123-060000-0a1b2c3d/prepare/2/spec.json", Deadline: noon.Add(90 * time.Minute),
	}
}

// launched is the object that job became, by way of template.
func launched(t *testing.T, template string, job workload.Job) *unstructured.Unstructured {
	s := newServer(t)
	l, err := kube.NewLauncher(kube.LauncherConfig{
		Client: s.client(t), Namespace: "kubeflow", Template: []byte(template), Kinds: kinds, Clock: func() time.Time { return noon },
	})
	require.NoError(t, err)
	require.NoError(t, l.Launch(t.Context(), job))
	return s.Object(job.Name())
}

func TestAnObjectIsTheTemplateAndWhatIsRefits(t *testing.T) {
	object := launched(t, `
apiVersion: trainer.kubeflow.org/v1alpha1
kind: TrainJob
metadata:
  name: replaced
  generateName: dropped-
  namespace: replaced
  labels: {kueue.x-k8s.io/queue-name: refit, refit.dev/run: replaced}
  annotations: {refit.dev/ttl: 5m}
spec:
  runtimeRef: {name: refit-workload}
  trainer: {numNodes: 1}
status: {conditions: []}
`, job())
	require.Equal(t, "r-20261123-060000-0a1b2c3d-prepare-2", object.GetName())
	require.Empty(t, object.GetGenerateName())
	require.Equal(t, "kubeflow", object.GetNamespace())
	require.Equal(t, map[string]string{
		"app.kubernetes.io/managed-by": "refit", "refit.dev/run": "r-20261123-060000-0a1b2c3d", "refit.dev/stage": "prepare",
		"refit.dev/attempt": "2", "refit.dev/workload": "r-20261123-060000-0a1b2c3d-prepare-2", "kueue.x-k8s.io/queue-name": "refit",
	}, object.GetLabels())
	require.Equal(t, map[string]string{
		"refit.dev/spec":     "s3://refit/runs/r-20261123-060000-0a1b2c3d/prepare/2/spec.json",
		"refit.dev/deadline": "2026-11-23T13:30:00Z", "refit.dev/ttl": "5m",
	}, object.GetAnnotations())
	require.NotContains(t, object.Object, "status")
	nodes, _, err := unstructured.NestedInt64(object.Object, "spec", "trainer", "numNodes")
	require.NoError(t, err)
	require.EqualValues(t, 1, nodes)
}

func TestADeadlineBecomesSeconds(t *testing.T) {
	for name, tc := range map[string]struct {
		left time.Duration
		want int64
	}{
		"an hour and a half":             {left: 90 * time.Minute, want: 5400},
		"part of a second is a whole":    {left: 1200 * time.Millisecond, want: 2},
		"a deadline that has passed":     {left: -time.Hour, want: 1},
		"more than a RayJob can be told": {left: 200 * 365 * 24 * time.Hour, want: 1<<31 - 1},
	} {
		t.Run(name, func(t *testing.T) {
			j := job()
			j.Deadline = noon.Add(tc.left)
			seconds, _, err := unstructured.NestedInt64(launched(t, trainTemplate, j).Object, "spec", "activeDeadlineSeconds")
			require.NoError(t, err)
			require.Equal(t, tc.want, seconds)
		})
	}
}

func TestTemplatesThatAreRefused(t *testing.T) {
	for name, tc := range map[string]struct{ template, want string }{
		"nothing":                   {template: "# a comment", want: "the template holds 0 documents"},
		"no YAML":                   {template: "a: b: c", want: "read the template"},
		"a list":                    {template: "[a]", want: "read the template"},
		"a key that stands twice":   {template: "kind: RayJob\nkind: TrainJob", want: `"kind" already set`},
		"a kind that runs nothing":  {template: "{apiVersion: batch/v1, kind: Job}", want: `kind "Job" of apiVersion "batch/v1" runs no workloads: accepted is kind "RayJob" of apiVersion "ray.io/v1" or kind "TrainJob"`},
		"a version that is no more": {template: strings.Replace(rayTemplate, "ray.io/v1", "ray.io/v1alpha1", 1), want: `apiVersion "ray.io/v1alpha1"`},
		"two documents":             {template: trainTemplate + "---" + trainTemplate, want: "2 documents"},
		"what cannot be filled":     {template: "{apiVersion: ray.io/v1, kind: RayJob}", want: "fill the template of kind \"RayJob\""},
		"metadata that is no object": {
			template: "{apiVersion: ray.io/v1, kind: RayJob, metadata: [a]}", want: "metadata is []interface {}: accepted is an object",
		},
		"a label that is no text": {
			template: "{apiVersion: ray.io/v1, kind: RayJob, metadata: {labels: {team: 7}}}", want: "metadata.labels",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := kube.NewLauncher(kube.LauncherConfig{
				Client: newServer(t).client(t), Namespace: "kubeflow", Template: []byte(tc.template), Kinds: kinds,
			})
			require.ErrorContains(t, err, tc.want)
		})
	}
}
