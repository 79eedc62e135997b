package rayjob

import (
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"refit.dev/workload"
	"refit.dev/workload/kube"
)

// End reads status. Complete, Failed and ValidationFailed are ends; Retrying
// and Suspended are not.
func (Kind) End(object *unstructured.Unstructured) (kube.Verdict, bool) {
	status, _ := object.Object["status"].(map[string]any)
	v := kube.Verdict{StartedAt: at(status, "startTime"), EndedAt: at(status, "endTime")}
	switch text(status, "jobDeploymentStatus") {
	case "Complete":
		v.Outcome, v.Reason = workload.Succeeded, "Completed"
		if text(status, "jobStatus") == "STOPPED" {
			v.Outcome, v.Reason, v.Message = workload.Cancelled, "Cancelled", "its Ray job was stopped"
		}
		return v, true
	case "Failed", "ValidationFailed":
		v.Outcome, v.Reason, v.Message = failure(text(status, "reason"), text(status, "message"))
		return v, true
	}
	return v, false
}

// failure words a RayJob's reason. One that refit has no word for stays.
func failure(reason, message string) (workload.Outcome, string, string) {
	switch {
	case reason == "DeadlineExceeded":
		return workload.Deadline, reason, "it was ended at its deadline"
	case reason == "AppFailed" && strings.Contains(message, "Ray job not found"):
		// KubeRay makes a new head, which knows nothing of the job.
		return workload.Failed, "HeadLost", "the Ray head was restarted while the job ran: see the events of its pod, replay the run"
	case reason == "AppFailed":
		return workload.Failed, "ExitStatus", message
	case reason == "":
		return workload.Failed, "Failed", message
	}
	return workload.Failed, reason, message
}

func text(status map[string]any, name string) string {
	s, _ := status[name].(string)
	return s
}

// at is the time called name, zero if there is none.
func at(status map[string]any, name string) time.Time {
	t, err := time.Parse(time.RFC3339, text(status, name))
	if err != nil {
		return time.Time{}
	}
	return t
}
