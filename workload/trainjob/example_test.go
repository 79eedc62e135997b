package trainjob_test

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"refit.dev/workload/trainjob"
)

func ExampleKind_End() {
	object := &unstructured.Unstructured{Object: map[string]any{"status": map[string]any{"conditions": []any{
		map[string]any{"type": "Failed", "status": "True", "reason": "DeadlineExceeded"},
	}}}}
	verdict, over := trainjob.Kind{}.End(object)
	fmt.Println(over, verdict.Outcome, verdict.Reason)
	// Output: true deadline DeadlineExceeded
}
