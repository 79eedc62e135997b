package trainjob

import (
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"refit.dev/workload/kube"
)

// manager is who refit's entry of runtimePatches belongs to.
const manager = "refit.dev/launcher"

// node is what every TrainingRuntime calls the job that trains.
const node = "node"

// Fill sets the deadline, the image and the spec's URI of the trainer, and
// labels its pods by a patch of the runtime.
func (Kind) Fill(object *unstructured.Unstructured, f kube.Filling) error {
	spec, err := kube.Object(object.Object, "spec")
	if err != nil {
		return err
	}
	runtime, err := kube.Object(spec, "runtimeRef")
	if err != nil {
		return fmt.Errorf("spec.%w", err)
	}
	if name, _ := runtime["name"].(string); name == "" {
		return errors.New("spec.runtimeRef.name is empty: give the TrainingRuntime that runs the workload")
	}
	spec["activeDeadlineSeconds"] = f.Seconds
	trainer, err := kube.Object(spec, "trainer")
	if err != nil {
		return fmt.Errorf("spec.%w", err)
	}
	if err := f.Container(trainer); err != nil {
		return fmt.Errorf("spec.trainer.%w", err)
	}
	return patch(spec, f)
}

// patch adds the entry that labels the pods.
func patch(spec map[string]any, f kube.Filling) error {
	patches, ok := spec["runtimePatches"].([]any)
	if !ok && spec["runtimePatches"] != nil {
		return fmt.Errorf("spec.runtimePatches is %T: accepted is a list", spec["runtimePatches"])
	}
	pod := map[string]any{}
	if err := f.Label(pod); err != nil {
		return err
	}
	job := map[string]any{"name": node, "template": map[string]any{"spec": map[string]any{"template": pod}}}
	set := map[string]any{"spec": map[string]any{"replicatedJobs": []any{job}}}
	spec["runtimePatches"] = append(patches, map[string]any{
		"manager": manager, "trainingRuntimeSpec": map[string]any{"template": set},
	})
	return nil
}
