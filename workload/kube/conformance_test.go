package kube_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"refit.dev/workload"
	"refit.dev/workload/kube"
	"refit.dev/workload/rayjob"
	"refit.dev/workload/trainjob"
	"refit.dev/workload/workloadtest"
)

var kinds = []kube.Kind{rayjob.Kind{}, trainjob.Kind{}}

const rayTemplate = `
apiVersion: ray.io/v1
kind: RayJob
spec:
  entrypoint: python -m refit_ray_train.train
  shutdownAfterJobFinishes: true
  rayClusterSpec: {headGroupSpec: {template: {spec: {containers: [{name: head}]}}}}
`

const trainTemplate = `
apiVersion: trainer.kubeflow.org/v1alpha1
kind: TrainJob
spec:
  runtimeRef: {kind: TrainingRuntime, name: refit-workload}
`

func TestLauncherOfRayJobs(t *testing.T) { conforms(t, rayjob.Kind{}, rayTemplate, rayStatus) }

func TestLauncherOfTrainJobs(t *testing.T) { conforms(t, trainjob.Kind{}, trainTemplate, trainStatus) }

// conforms runs the suite against a cluster in memory. Its workloads do what
// their images are called.
func conforms(t *testing.T, kind kube.Kind, template string, statusOf func(string) map[string]any) {
	workloadtest.RunObjects(t, func(t *testing.T) workloadtest.Harness {
		s, ends := newServer(t), make(chan workload.End, 64)
		s.Controller = func(object *unstructured.Unstructured) { control(object, statusOf) }
		s.Watch = announce(s, ends, statusOf)
		launcher, err := kube.NewLauncher(kube.LauncherConfig{
			Client: s.client(t), Namespace: "kubeflow", Template: []byte(template), Kinds: kinds,
		})
		require.NoError(t, err)
		objects := s.client(t).Resource(kind.Resource()).Namespace("kubeflow")
		return workloadtest.Harness{
			Launcher: launcher, Ends: ends, Starts: s.Created,
			Prepare: func(job workload.Job, b workloadtest.Behaviour) workload.Job {
				job.Image = string(b)
				return job
			},
			Vanish: func(ctx context.Context, name string) error {
				return objects.Delete(ctx, name, metav1.DeleteOptions{})
			},
			Suspend: func(ctx context.Context, name string) error {
				_, err := objects.Patch(ctx, name, types.MergePatchType, []byte(`{"spec":{"suspend":true}}`), metav1.PatchOptions{})
				return err
			},
		}
	})
}

// control does what KubeRay or Trainer would, at once.
func control(object *unstructured.Unstructured, statusOf func(string) map[string]any) {
	suspend, _, _ := unstructured.NestedBool(object.Object, "spec", "suspend")
	switch image := imageOf(object); {
	case suspend:
		object.Object["status"] = statusOf("suspended")
	case object.Object["status"] == nil && image != string(workloadtest.Hangs):
		object.Object["status"] = statusOf(image)
	}
}

// announce is a source: it tells each end once, and sets the deadline off.
func announce(s *server, ends chan<- workload.End, statusOf func(string) map[string]any) func(*unstructured.Unstructured, bool) {
	seen, told := map[types.UID]bool{}, map[types.UID]bool{}
	return func(object *unstructured.Unstructured, deleted bool) {
		if seconds, _, _ := unstructured.NestedInt64(object.Object, "spec", "activeDeadlineSeconds"); !seen[object.GetUID()] && seconds < 60 {
			time.AfterFunc(time.Duration(seconds)*time.Second, func() {
				s.Change(object.GetName(), func(o *unstructured.Unstructured) { o.Object["status"] = statusOf("deadline") })
			})
		}
		seen[object.GetUID()] = true
		end, over := kube.EndOf(kinds, object)
		if deleted {
			end, over = kube.Vanished(kinds, object, time.Now())
		}
		if over && !told[object.GetUID()] {
			told[object.GetUID()] = true
			ends <- end
		}
	}
}

// imageOf is the image of the container that works.
func imageOf(object *unstructured.Unstructured) string {
	if image, ok, _ := unstructured.NestedString(object.Object, "spec", "trainer", "image"); ok {
		return image
	}
	containers, _, _ := unstructured.NestedSlice(object.Object, "spec", "rayClusterSpec", "headGroupSpec", "template", "spec", "containers")
	return containers[0].(map[string]any)["image"].(string)
}

func rayStatus(how string) map[string]any {
	status := map[string]map[string]any{
		"succeeds":  {"jobDeploymentStatus": "Complete", "jobStatus": "SUCCEEDED"},
		"fails":     {"jobDeploymentStatus": "Failed", "jobStatus": "FAILED", "reason": "AppFailed"},
		"deadline":  {"jobDeploymentStatus": "Failed", "reason": "DeadlineExceeded"},
		"suspended": {"jobDeploymentStatus": "Suspended"},
	}[how]
	status["startTime"], status["endTime"] = now(), now()
	return status
}

func trainStatus(how string) map[string]any {
	condition := map[string]map[string]any{
		"succeeds":  {"type": "Complete", "reason": "AllJobsCompleted"},
		"fails":     {"type": "Failed", "reason": "FailedJobs"},
		"deadline":  {"type": "Failed", "reason": "DeadlineExceeded"},
		"suspended": {"type": "Suspended", "reason": "Suspended"},
	}[how]
	condition["status"], condition["lastTransitionTime"] = "True", now()
	return map[string]any{"conditions": []any{condition}}
}

func now() string { return time.Now().UTC().Format(time.RFC3339) }
