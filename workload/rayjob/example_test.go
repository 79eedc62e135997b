package rayjob_test

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"refit.dev/workload/rayjob"
)

func ExampleKind_End() {
	object := &unstructured.Unstructured{Object: map[string]any{"status": map[string]any{
		"jobDeploymentStatus": "Failed", "reason": "SubmissionFailed", "jobStatus": "RUNNING",
	}}}
	verdict, over := rayjob.Kind{}.End(object)
	fmt.Println(over, verdict.Outcome, verdict.Reason)
	// Output: true failed HeadLost
}
