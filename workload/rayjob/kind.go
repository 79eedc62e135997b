package rayjob

import (
	"k8s.io/apimachinery/pkg/runtime/schema"

	"refit.dev/workload/kube"
)

// Kind is RayJob, ray.io/v1, as KubeRay 1.6 has it.
type Kind struct{}

var _ kube.Kind = Kind{}

// GroupVersionKind is ray.io/v1, RayJob.
func (Kind) GroupVersionKind() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: "ray.io", Version: "v1", Kind: "RayJob"}
}

// Resource is rayjobs.
func (k Kind) Resource() schema.GroupVersionResource {
	return k.GroupVersionKind().GroupVersion().WithResource("rayjobs")
}
