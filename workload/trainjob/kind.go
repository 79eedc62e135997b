package trainjob

import (
	"k8s.io/apimachinery/pkg/runtime/schema"

	"refit.dev/workload/kube"
)

// Kind is TrainJob, trainer.kubeflow.org/v1alpha1, as Trainer 2.2 has it.
type Kind struct{}

var _ kube.Kind = Kind{}

// GroupVersionKind is trainer.kubeflow.org/v1alpha1, TrainJob.
func (Kind) GroupVersionKind() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: "trainer.kubeflow.org", Version: "v1alpha1", Kind: "TrainJob"}
}

// Resource is trainjobs.
func (k Kind) Resource() schema.GroupVersionResource {
	return k.GroupVersionKind().GroupVersion().WithResource("trainjobs")
}
