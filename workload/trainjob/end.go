package trainjob

import (
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"refit.dev/workload"
	"refit.dev/workload/kube"
)

// End reads the conditions. Complete and Failed are ends; Suspended is not.
func (Kind) End(object *unstructured.Unstructured) (kube.Verdict, bool) {
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, c := range conditions {
		condition, _ := c.(map[string]any)
		if text(condition, "status") != "True" {
			continue
		}
		v := kube.Verdict{StartedAt: object.GetCreationTimestamp().Time, EndedAt: at(condition, "lastTransitionTime")}
		switch text(condition, "type") {
		case "Complete":
			v.Outcome, v.Reason = workload.Succeeded, "Completed"
			return v, true
		case "Failed":
			v.Outcome, v.Reason, v.Message = failure(text(condition, "reason"), text(condition, "message"))
			return v, true
		}
	}
	return kube.Verdict{}, false
}

// failure words a TrainJob's reason. One that refit has no word for stays.
func failure(reason, message string) (workload.Outcome, string, string) {
	if reason == "DeadlineExceeded" {
		return workload.Deadline, reason, "it was ended at its deadline"
	}
	return workload.Failed, reason, message
}

func text(condition map[string]any, name string) string {
	s, _ := condition[name].(string)
	return s
}

// at is the time called name, zero if there is none.
func at(condition map[string]any, name string) time.Time {
	t, err := time.Parse(time.RFC3339, text(condition, name))
	if err != nil {
		return time.Time{}
	}
	return t
}
