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
		v.Outcome, v.Reason, v.Message = failure(status)
		return v, true
	}
	return v, false
}

// failure words a RayJob's reason. One that refit has no word for stays.
func failure(status map[string]any) (workload.Outcome, string, string) {
	reason, message := text(status, "reason"), text(status, "message")
	switch {
	case reason == "DeadlineExceeded":
		return workload.Deadline, reason, "it was ended at its deadline"
	case headLost(status):
		return workload.Failed, "HeadLost", "the Ray head, or the pod that follows its job, went while the job ran: see the events of the pods, then replay the run"
	case reason == "AppFailed":
		return workload.Failed, "ExitStatus", message
	case reason == "":
		return workload.Failed, "Failed", message
	}
	return workload.Failed, reason, message
}

// headLost tells whether the job vanished while it ran. KubeRay makes a new
// head, which has never heard of it: the submitter fails or finds nothing.
func headLost(status map[string]any) bool {
	switch text(status, "reason") {
	case "SubmissionFailed":
		return text(status, "jobStatus") == "RUNNING" || text(status, "jobStatus") == "PENDING"
	case "AppFailed":
		return strings.Contains(text(status, "message"), "Ray job not found")
	}
	return false
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
