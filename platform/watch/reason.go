package watch

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"refit.dev/workload"
)

// The reasons that the pods of a workload tell. Those that its object tells
// come from its kind.
const (
	ImagePull       = "ImagePull"
	ContainerConfig = "ContainerConfig"
	Unschedulable   = "Unschedulable"
	OutOfMemory     = "OutOfMemory"
	ExitStatus      = "ExitStatus"
	HeadLost        = "HeadLost"
)

// finding is what is wrong with a pod: one CamelCase word and a sentence. The
// zero value is nothing.
type finding struct{ reason, message string }

func (f finding) found() bool { return f.reason != "" }

// nodeType is KubeRay's label of the pods of a Ray cluster; the submitter's pod
// and all others have none.
const nodeType = "ray.io/node-type"

// explain replaces what an object says about its end by what its pods say,
// where that helps a person more. A workload whose pods were taken away from it
// (evicted, preempted, on a node that went) is lost, not failed.
func explain(end workload.End, pods []corev1.Pod, t trouble) workload.End {
	var first []finding
	switch {
	case end.Reason == "Deleted" || end.Reason == ImagePull || end.Reason == ContainerConfig:
	case end.Outcome == workload.Failed:
		if f := t.disrupted.or(anyOf(pods, disrupted)); f.found() {
			end.Outcome = workload.Lost
			first = append(first, f)
		}
		first = append(first, t.killed, anyOf(pods, killed), anyOf(pods, blocked), headLost(end.Reason, pods), rayEnded(end), exited(end, pods))
	case end.Outcome == workload.Deadline:
		first = append(first, anyOf(pods, blocked), anyOf(pods, unschedulable), t.waits(), t.killed, anyOf(pods, killed))
	}
	if i := slices.IndexFunc(first, finding.found); i >= 0 {
		end.Reason, end.Message = first[i].reason, joined(end, first[i].message)
	}
	return end
}

// joined keeps the object's own sentence about a deadline, which says what
// happened; the pods say why.
func joined(end workload.End, message string) string {
	if end.Outcome == workload.Deadline && end.Message != "" {
		return end.Message + ": " + message
	}
	return message
}

func (f finding) or(other finding) finding {
	if f.found() {
		return f
	}
	return other
}

// anyOf is the first finding in pods.
func anyOf(pods []corev1.Pod, find func(*corev1.Pod) finding) finding {
	for i := range pods {
		if f := find(&pods[i]); f.found() {
			return f
		}
	}
	return finding{}
}

// disrupted finds that a pod was taken away by the cluster.
func disrupted(pod *corev1.Pod) finding {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue {
			return finding{or(c.Reason, "Disrupted"), fmt.Sprintf("pod %s was taken away by the cluster (%s): it is launched again", pod.Name, or(c.Message, c.Reason))}
		}
	}
	return finding{}
}

// killed finds that a container used more memory than it may.
func killed(pod *corev1.Pod) finding {
	for _, s := range statuses(pod) {
		for _, state := range []corev1.ContainerState{s.State, s.LastTerminationState} {
			if state.Terminated != nil && state.Terminated.Reason == "OOMKilled" {
				return finding{OutOfMemory, fmt.Sprintf("container %s of pod %s used more memory than its limit of %s: raise resources.limits.memory in the stage's template",
					s.Name, pod.Name, limitOf(pod, s.Name))}
			}
		}
	}
	return finding{}
}

// blocked finds that a container cannot start for a reason that time does not
// mend.
func blocked(pod *corev1.Pod) finding {
	for _, s := range statuses(pod) {
		w := s.State.Waiting
		if w == nil {
			continue
		}
		switch w.Reason {
		case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull":
			return finding{ImagePull, fmt.Sprintf("image %s of container %s cannot be pulled (%s): check its name and tag, and the registry's pull secret%s",
				s.Image, s.Name, w.Reason, quoted(w.Message))}
		case "CreateContainerConfigError", "CreateContainerError":
			return finding{ContainerConfig, fmt.Sprintf("container %s of pod %s cannot be made (%s): see that every Secret and ConfigMap that it names is there%s",
				s.Name, pod.Name, w.Reason, quoted(w.Message))}
		}
	}
	return finding{}
}

// unschedulable finds that no node takes a pod. An autoscaler may mend that.
func unschedulable(pod *corev1.Pod) finding {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
			return finding{Unschedulable, fmt.Sprintf("no node took pod %s: add nodes, or ask for less in the stage's template%s", pod.Name, quoted(c.Message))}
		}
	}
	return finding{}
}

// cutOff are Ray's reasons for the loss of contact with a job.
var cutOff = []string{"SubmissionFailed", "JobStatusCheckTimeoutExceeded", "JobDeploymentStatusTransitionGracePeriodExceeded"}

// headLost finds that the head of a Ray cluster went while the job ran: there is
// none, it is younger than the pod that submitted the job, or it was restarted.
func headLost(reason string, pods []corev1.Pod) finding {
	submitter := slices.IndexFunc(pods, func(p corev1.Pod) bool { return p.Labels[nodeType] == "" })
	if !slices.Contains(cutOff, reason) || submitter < 0 {
		return finding{}
	}
	head := slices.IndexFunc(pods, func(p corev1.Pod) bool { return p.Labels[nodeType] == "head" && p.DeletionTimestamp == nil })
	began := pods[submitter].CreationTimestamp
	if head >= 0 && !began.Before(&pods[head].CreationTimestamp) && !restarted(&pods[head]) {
		return finding{}
	}
	return finding{HeadLost, "the Ray head went while the job ran: see the events of its pod, replay the run"}
}

func restarted(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool { return s.RestartCount > 0 })
}

// exitCode is how Ray words that an entrypoint failed.
var exitCode = regexp.MustCompile(`exit code:? (\d+)`)

// rayEnded finds how the process of a Ray job ended, in what Ray says about it.
// A process that is over its pod's limit is killed without its pod: the head
// goes on, and the container shows nothing.
func rayEnded(end workload.End) finding {
	m := exitCode.FindStringSubmatch(end.Message)
	switch {
	case end.Reason != ExitStatus:
		return finding{}
	case strings.Contains(end.Message, "ray.exceptions.OutOfMemoryError"):
		return finding{OutOfMemory, "Ray ended a task because its node ran out of memory: raise resources.limits.memory in the stage's template, or use fewer workers"}
	case m == nil:
		return finding{}
	case m[1] == "137":
		return finding{OutOfMemory, "its process was killed, which is what happens to one that needs more memory than the head's limit: raise resources.limits.memory in the stage's template"}
	}
	return finding{ExitStatus, "it ended with status " + m[1]}
}

// exited finds the status with which the workload's own container ended. That of
// a Ray job's submitter says nothing.
func exited(end workload.End, pods []corev1.Pod) finding {
	if slices.ContainsFunc(pods, func(p corev1.Pod) bool { return p.Labels[nodeType] != "" }) || end.Reason == HeadLost {
		return finding{}
	}
	return anyOf(pods, func(pod *corev1.Pod) finding {
		for _, s := range statuses(pod) {
			if t := s.State.Terminated; t != nil && t.ExitCode != 0 {
				return finding{ExitStatus, statusOf(t)}
			}
		}
		return finding{}
	})
}

// statusOf words a container's end as the launcher of processes does.
func statusOf(t *corev1.ContainerStateTerminated) string {
	if t.ExitCode > 128 && t.ExitCode < 160 {
		return fmt.Sprintf("it was ended by signal %d", t.ExitCode-128)
	}
	return fmt.Sprintf("it ended with status %d", t.ExitCode)
}

// statuses are those of all containers, the init containers first.
func statuses(pod *corev1.Pod) []corev1.ContainerStatus {
	return slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses)
}

func limitOf(pod *corev1.Pod, container string) string {
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		if limit, ok := c.Resources.Limits[corev1.ResourceMemory]; ok && c.Name == container {
			return limit.String()
		}
	}
	return "the node"
}

func quoted(text string) string {
	if text = strings.TrimSpace(text); text == "" {
		return ""
	}
	return "; " + text
}

func or(text, instead string) string {
	if text == "" {
		return instead
	}
	return text
}
