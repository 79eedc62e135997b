package kube_test

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"refit.dev/workload/kube"
	"refit.dev/workload/rayjob"
	"refit.dev/workload/trainjob"
)

// A RayJob that was cancelled says so in its annotation, whatever KubeRay makes
// of it afterwards.
func ExampleEndOf() {
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "ray.io/v1", "kind": "RayJob",
		"metadata": map[string]any{
			"name":        "r-20261123-060000-0a1b2c3d-train-1",
			"labels":      map[string]any{kube.LabelRun: "r-20261123-060000-0a1b2c3d", kube.LabelStage: "train", kube.LabelAttempt: "1"},
			"annotations": map[string]any{kube.AnnotationEnd: `{"outcome":"cancelled","reason":"Cancelled","at":"2026-11-23T06:30:00Z"}`},
		},
		"status": map[string]any{"jobDeploymentStatus": "Suspended"},
	}}
	end, over := kube.EndOf([]kube.Kind{rayjob.Kind{}, trainjob.Kind{}}, object)
	fmt.Println(over, end.Workload, end.Outcome)
	// Output: true r-20261123-060000-0a1b2c3d-train-1 cancelled
}
