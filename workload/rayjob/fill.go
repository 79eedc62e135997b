package rayjob

import (
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"refit.dev/workload/kube"
)

// Fill sets the deadline, and labels, image and the spec's URI in the pods of
// the head, the workers and the submitter. It refuses a template that refit
// could not end, or that KubeRay would start again by itself.
func (Kind) Fill(object *unstructured.Unstructured, f kube.Filling) error {
	spec, err := kube.Object(object.Object, "spec")
	if err != nil {
		return err
	}
	if err := check(spec); err != nil {
		return fmt.Errorf("spec.%w", err)
	}
	spec["activeDeadlineSeconds"] = f.Seconds
	templates, err := pods(spec)
	if err != nil {
		return fmt.Errorf("spec.%w", err)
	}
	for path, template := range templates {
		if err := f.Pod(template); err != nil {
			return fmt.Errorf("spec.%s: %w", path, err)
		}
	}
	return nil
}

// check says what about the spec cannot be.
func check(spec map[string]any) error {
	if mode, ok := spec["submissionMode"]; ok && mode != "K8sJobMode" {
		return fmt.Errorf("submissionMode is %q: accepted is K8sJobMode", mode)
	}
	if limit, ok := spec["backoffLimit"]; ok && limit != int64(0) {
		return fmt.Errorf("backoffLimit is %v: accepted is 0, refit counts attempts itself", limit)
	}
	if _, ok := spec["clusterSelector"]; ok {
		return errors.New("clusterSelector is set: give rayClusterSpec instead, each workload has a cluster of its own")
	}
	if entrypoint, _ := spec["entrypoint"].(string); entrypoint == "" {
		return errors.New("entrypoint is empty: give the command of the workload")
	}
	if spec["shutdownAfterJobFinishes"] != true {
		return errors.New("shutdownAfterJobFinishes is not true: KubeRay suspends, and so cancels, no other RayJob")
	}
	return nil
}

// pods are the pod templates of a RayJob by their path.
func pods(spec map[string]any) (map[string]map[string]any, error) {
	cluster, err := kube.Object(spec, "rayClusterSpec")
	if err != nil {
		return nil, err
	}
	head, err := kube.Object(cluster, "headGroupSpec", "template")
	if err != nil {
		return nil, fmt.Errorf("rayClusterSpec.%w", err)
	}
	if spec["submitterPodTemplate"] == nil {
		spec["submitterPodTemplate"] = submitter()
	}
	submitter, err := kube.Object(spec, "submitterPodTemplate")
	if err != nil {
		return nil, err
	}
	all := map[string]map[string]any{"rayClusterSpec.headGroupSpec.template": head, "submitterPodTemplate": submitter}
	groups, _ := cluster["workerGroupSpecs"].([]any)
	for i, g := range groups {
		path := fmt.Sprintf("rayClusterSpec.workerGroupSpecs[%d]", i)
		group, ok := g.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%s is %T: accepted is an object", path, g)
		}
		if all[path+".template"], err = kube.Object(group, "template"); err != nil {
			return nil, fmt.Errorf("%s.%w", path, err)
		}
	}
	return all, nil
}

// submitter is KubeRay's own template, spelled out to carry labels.
func submitter() map[string]any {
	return map[string]any{"spec": map[string]any{
		"restartPolicy": "Never",
		"containers": []any{map[string]any{
			"name": "ray-job-submitter",
			"resources": map[string]any{
				"requests": map[string]any{"cpu": "500m", "memory": "200Mi"},
				"limits":   map[string]any{"cpu": "1", "memory": "1Gi"},
			},
		}},
	}}
}
