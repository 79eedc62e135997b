package watch

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"refit.dev/workload"
)

// podsFrom reads pods as an API server shows them.
func podsFrom(t *testing.T, texts ...string) []corev1.Pod {
	t.Helper()
	pods := make([]corev1.Pod, len(texts))
	for i, text := range texts {
		require.NoError(t, yaml.UnmarshalStrict([]byte(text), &pods[i]))
	}
	return pods
}

// What a kubelet 1.37 and KubeRay 1.6 wrote.
const (
	imagePull = `
metadata: {name: p-node-0-0-j649p}
status:
  phase: Pending
  containerStatuses:
  - {name: node, image: "dev.local/nothing:v9", imageID: "", ready: false, restartCount: 0, state: {waiting: {reason: ImagePullBackOff, message: 'Back-off pulling image "dev.local/nothing:v9"'}}}`
	initImage = `
metadata: {name: p}
status:
  initContainerStatuses:
  - {name: init, image: "reg/Bad", imageID: "", ready: false, restartCount: 0, state: {waiting: {reason: InvalidImageName}}}`
	noSecret = `
metadata: {name: p}
status:
  containerStatuses:
  - {name: node, image: i, imageID: "", ready: false, restartCount: 0, state: {waiting: {reason: CreateContainerConfigError, message: 'secret "refit-s3" not found'}}}`
	starting = `
metadata: {name: p}
status:
  containerStatuses:
  - {name: node, image: i, imageID: "", ready: false, restartCount: 0, state: {waiting: {reason: ContainerCreating}}}`
	outOfMemory = `
metadata: {name: p-node-0-0-hrqwr}
spec: {containers: [{name: node, resources: {limits: {memory: 64Mi}}}]}
status:
  phase: Failed
  containerStatuses:
  - {name: node, image: i, imageID: "", ready: false, restartCount: 0, state: {terminated: {exitCode: 137, reason: OOMKilled}}}`
	workerOutOfMemory = `
metadata: {name: p-worker, labels: {ray.io/node-type: worker}}
status:
  phase: Running
  containerStatuses:
  - {name: ray, image: i, imageID: "", ready: true, restartCount: 1, state: {running: {}}, lastState: {terminated: {exitCode: 137, reason: OOMKilled}}}`
	exit3 = `
metadata: {name: p}
status:
  phase: Failed
  containerStatuses:
  - {name: node, image: i, imageID: "", ready: false, restartCount: 0, state: {terminated: {exitCode: 3, reason: Error}}}`
	signal15 = `
metadata: {name: p}
status:
  phase: Failed
  containerStatuses:
  - {name: node, image: i, imageID: "", ready: false, restartCount: 0, state: {terminated: {exitCode: 143, reason: Error}}}`
	evicted = `
metadata: {name: p}
status:
  phase: Failed
  conditions:
  - {type: DisruptionTarget, status: "True", reason: TerminationByKubelet, message: "The node was low on resource: memory."}
  containerStatuses:
  - {name: node, image: i, imageID: "", ready: false, restartCount: 0, state: {terminated: {exitCode: 137, reason: OOMKilled}}}`
	unschedulablePod = `
metadata: {name: p}
status:
  phase: Pending
  conditions:
  - {type: PodScheduled, status: "False", reason: Unschedulable, message: "0/1 nodes are available: 1 Insufficient memory."}`
	submitter = `
metadata: {name: s, creationTimestamp: "2026-11-23T06:00:30Z"}
status:
  phase: Failed
  containerStatuses:
  - {name: submitter, image: i, imageID: "", ready: false, restartCount: 0, state: {terminated: {exitCode: 1, reason: Error}}}`
	head = `
metadata: {name: h, creationTimestamp: "2026-11-23T06:00:00Z", labels: {ray.io/node-type: head}}
status:
  phase: Running
  containerStatuses:
  - {name: head, image: i, imageID: "", ready: true, restartCount: 0, state: {running: {}}}`
	newHead = `
metadata: {name: h2, creationTimestamp: "2026-11-23T06:05:00Z", labels: {ray.io/node-type: head}}
status: {phase: Running}`
)

func TestExplain(t *testing.T) {
	failed := func(reason, message string) workload.End {
		return workload.End{Outcome: workload.Failed, Reason: reason, Message: message}
	}
	deadline := workload.End{Outcome: workload.Deadline, Reason: "DeadlineExceeded", Message: "it was ended at its deadline"}
	for name, tc := range map[string]struct {
		end         workload.End
		pods        []string
		trouble     trouble
		wantOutcome workload.Outcome
		wantReason  string
		wantMessage string
	}{
		"a success stays one": {
			workload.End{Outcome: workload.Succeeded, Reason: "Completed"}, []string{exit3}, trouble{}, workload.Succeeded, "Completed", "",
		},
		"what was cancelled stays so": {
			workload.End{Outcome: workload.Cancelled, Reason: "Cancelled"}, []string{evicted}, trouble{}, workload.Cancelled, "Cancelled", "",
		},
		"what was deleted stays so": {failed("Deleted", "gone"), []string{exit3}, trouble{}, workload.Failed, "Deleted", "gone"},
		"an image that is not there": {
			failed("JobsFailed", ""), []string{imagePull}, trouble{}, workload.Failed, ImagePull,
			`image dev.local/nothing:v9 of container node cannot be pulled (ImagePullBackOff): check its name and tag, and the registry's pull secret; Back-off pulling image "dev.local/nothing:v9"`,
		},
		"an image of an init container": {
			deadline, []string{initImage}, trouble{}, workload.Deadline, ImagePull,
			"it was ended at its deadline: image reg/Bad of container init cannot be pulled (InvalidImageName): check its name and tag, and the registry's pull secret",
		},
		"a secret that is not there": {
			deadline, []string{noSecret}, trouble{}, workload.Deadline, ContainerConfig,
			`it was ended at its deadline: container node of pod p cannot be made (CreateContainerConfigError): see that every Secret and ConfigMap that it names is there; secret "refit-s3" not found`,
		},
		"a start that takes long is nothing": {deadline, []string{starting}, trouble{}, workload.Deadline, "DeadlineExceeded", "it was ended at its deadline"},
		"too little memory": {
			failed("JobsFailed", "jobset failed"), []string{outOfMemory}, trouble{}, workload.Failed, OutOfMemory,
			"container node of pod p-node-0-0-hrqwr used more memory than its limit of 64Mi: raise resources.limits.memory in the stage's template",
		},
		"a Ray worker with too little memory, without a limit of its own": {
			failed("SubmissionFailed", "m"), []string{submitter, head, workerOutOfMemory}, trouble{}, workload.Failed, OutOfMemory,
			"container ray of pod p-worker used more memory than its limit of the node: raise resources.limits.memory in the stage's template",
		},
		"a pod with too little memory that was replaced": {
			failed("JobsFailed", ""), nil, trouble{killed: finding{OutOfMemory, "m"}}, workload.Failed, OutOfMemory, "m",
		},
		"a status": {failed("JobsFailed", "jobset failed"), []string{exit3}, trouble{}, workload.Failed, ExitStatus, "it ended with status 3"},
		"a signal": {failed("JobsFailed", ""), []string{signal15}, trouble{}, workload.Failed, ExitStatus, "it was ended by signal 15"},
		"a status of a Ray job": {
			failed(ExitStatus, "Job entrypoint command failed with exit code 7, last available logs (truncated to 20,000 chars):\nx"), []string{submitter, head},
			trouble{}, workload.Failed, ExitStatus, "it ended with status 7",
		},
		"a Ray job that was killed for memory in a head that goes on": {
			failed(ExitStatus, "Job entrypoint command failed with exit code 137, last available logs:\nKilled"), []string{submitter, head}, trouble{},
			workload.Failed, OutOfMemory, "its process was killed, which is what happens to one that needs more memory than the head's limit: raise resources.limits.memory in the stage's template",
		},
		"a task that Ray ended for memory": {
			failed(ExitStatus, "failed with exit code 1, last available logs:\nray.exceptions.OutOfMemoryError: Task was killed"), []string{submitter, head},
			trouble{}, workload.Failed, OutOfMemory, "Ray ended a task because its node ran out of memory: raise resources.limits.memory in the stage's template, or use fewer workers",
		},
		"an evicted pod is lost, whatever its container says": {
			failed("JobsFailed", ""), []string{evicted}, trouble{}, workload.Lost, "TerminationByKubelet",
			"pod p was taken away by the cluster (The node was low on resource: memory.): it is launched again",
		},
		"a deadline stays one when a pod was evicted": {deadline, []string{evicted}, trouble{}, workload.Deadline, OutOfMemory,
			"it was ended at its deadline: container node of pod p used more memory than its limit of the node: raise resources.limits.memory in the stage's template"},
		"no node until the deadline": {
			deadline, []string{unschedulablePod}, trouble{}, workload.Deadline, Unschedulable,
			"it was ended at its deadline: no node took pod p: add nodes, or ask for less in the stage's template; 0/1 nodes are available: 1 Insufficient memory.",
		},
		"a submitter that gave up on a head that stayed": {
			failed("SubmissionFailed", "m"), []string{submitter, head}, trouble{}, workload.Failed, "SubmissionFailed", "m",
		},
		"a head that was replaced": {
			failed("SubmissionFailed", "m"), []string{submitter, newHead}, trouble{}, workload.Failed, HeadLost,
			"the Ray head went while the job ran: see the events of its pod, replay the run",
		},
		"a head that went": {
			failed("JobStatusCheckTimeoutExceeded", "m"), []string{submitter}, trouble{}, workload.Failed, HeadLost,
			"the Ray head went while the job ran: see the events of its pod, replay the run",
		},
		"no pods": {failed("ValidationFailed", "m"), nil, trouble{}, workload.Failed, "ValidationFailed", "m"},
	} {
		t.Run(name, func(t *testing.T) {
			got := explain(tc.end, podsFrom(t, tc.pods...), tc.trouble)
			require.Equal(t, workload.End{Outcome: tc.wantOutcome, Reason: tc.wantReason, Message: tc.wantMessage}, got)
		})
	}
}

func TestWorkingContainers(t *testing.T) {
	previous := `
metadata: {name: again}
status:
  containerStatuses:
  - {name: sidecar, image: i, imageID: "", ready: true, restartCount: 0, state: {running: {}}}
  - {name: node, image: i, imageID: "", ready: false, restartCount: 2, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 1}}}`
	for name, tc := range map[string]struct {
		pods []string
		want []container
	}{
		"none":                              {nil, nil},
		"one that never ran has no log":     {[]string{imagePull}, nil},
		"a submitter before the head":       {[]string{head, submitter, workerOutOfMemory}, []container{{"s", "submitter", false}, {"h", "head", false}}},
		"the one before, where it restarts": {[]string{previous}, []container{{"again", "node", true}}},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, tc.want, working(podsFrom(t, tc.pods...))) })
	}
}

func TestADeletedPodExplainsForAWhileOnly(t *testing.T) {
	now := time.Now()
	w := &Watcher{c: Config{Clock: func() time.Time { return now }}, troubles: map[string]trouble{}}
	p := &podRecord{ObjectMeta: metav1.ObjectMeta{UID: "u"}, workload: "w", waits: finding{Unschedulable, "m"}}
	require.False(t, w.note(p), "time may mend it")
	w.leave(p)
	require.Equal(t, Unschedulable, w.troubleOf("w").waits().reason)
	now = now.Add(fresh)
	require.Empty(t, w.troubleOf("w").waits())
	p.waits, p.blocked = finding{}, finding{ImagePull, "m"}
	require.True(t, w.note(p))
	require.False(t, w.note(p), "it was said before")
	p.blocked = finding{}
	require.False(t, w.note(p))
	require.Empty(t, w.troubleOf("w").waits(), "it started")
}
