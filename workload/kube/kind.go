package kube

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"refit.dev/workload"
)

// Kind is a kind of object that runs workloads. It is safe for concurrent use.
type Kind interface {
	// Resource is where the API server keeps such objects.
	Resource() schema.GroupVersionResource
	// GroupVersionKind is what a manifest calls them.
	GroupVersionKind() schema.GroupVersionKind
	// Fill sets what is f's in object, which is a fresh copy of the template and
	// has its name, namespace, labels and annotations already. An error says
	// what is wrong with the template.
	Fill(object *unstructured.Unstructured, f Filling) error
	// End tells how the object ended by its status; false means not yet.
	End(object *unstructured.Unstructured) (Verdict, bool)
}

// Verdict is how an object ended.
type Verdict struct {
	Outcome workload.Outcome
	// Reason is one CamelCase word, Message one sentence for people.
	Reason, Message string
	// StartedAt and EndedAt may be zero where the object does not say.
	StartedAt, EndedAt time.Time
}

// find returns the kind of gvk; the error lists what is accepted.
func find(kinds []Kind, gvk schema.GroupVersionKind) (Kind, error) {
	i := slices.IndexFunc(kinds, func(k Kind) bool { return k.GroupVersionKind() == gvk })
	if i >= 0 {
		return kinds[i], nil
	}
	accepted := make([]string, len(kinds))
	for i, k := range kinds {
		accepted[i] = named(k.GroupVersionKind())
	}
	return nil, fmt.Errorf("%s runs no workloads: accepted is %s", named(gvk), strings.Join(accepted, " or "))
}

// named is how a manifest would say it.
func named(gvk schema.GroupVersionKind) string {
	return fmt.Sprintf("kind %q of apiVersion %q", gvk.Kind, gvk.GroupVersion())
}
