package rayjob_test

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"refit.dev/events"
	"refit.dev/workload"
	"refit.dev/workload/kube"
	"refit.dev/workload/rayjob"
)

// seen reads an object as a cluster with KubeRay 1.6.0 had it.
func seen(t *testing.T, name string) *unstructured.Unstructured {
	body, err := os.ReadFile("testdata/" + name + ".json")
	require.NoError(t, err)
	var object unstructured.Unstructured
	require.NoError(t, object.UnmarshalJSON(body))
	return &object
}

func at(clock string) time.Time {
	t, err := time.Parse(time.TimeOnly, clock)
	if err != nil {
		panic(err)
	}
	return t.AddDate(2026, 10, 22)
}

func TestEnd(t *testing.T) {
	for name, want := range map[string]kube.Verdict{
		"succeeded": {Outcome: workload.Succeeded, Reason: "Completed", StartedAt: at("09:28:37"), EndedAt: at("09:28:43")},
		"failed": {
			Outcome: workload.Failed, Reason: "ExitStatus", Message: seen(t, "failed").Object["status"].(map[string]any)["message"].(string),
			StartedAt: at("09:27:09"), EndedAt: at("09:27:39"),
		},
		"deadline": {
			Outcome: workload.Deadline, Reason: "DeadlineExceeded", Message: "it was ended at its deadline",
			StartedAt: at("09:28:37"), EndedAt: at("09:28:50"),
		},
		"head-lost": {
			Outcome: workload.Failed, Reason: "HeadLost", StartedAt: at("09:28:37"), EndedAt: at("09:28:57"),
			Message: "the Ray head, or the pod that follows its job, went while the job ran: see the events of the pods, then replay the run",
		},
		"not-submitted": {
			Outcome: workload.Failed, Reason: "SubmissionFailed", StartedAt: at("09:29:28"), EndedAt: at("09:29:33"),
			Message: "Job submission has failed. Reason: BackoffLimitExceeded. Message: Job has reached the specified backoff limit",
		},
		"invalid": {
			Outcome: workload.Failed, Reason: "ValidationFailed",
			Message: "The RayJob spec is invalid: authOptions.mode is 'token' but RayVersion was not specified. Ray version 2.52.0 or later is required",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, over := rayjob.Kind{}.End(seen(t, name))
			require.True(t, over)
			require.Equal(t, want, got)
		})
	}
}

func TestWhatIsNoEnd(t *testing.T) {
	suspended := seen(t, "suspended")
	_, over := rayjob.Kind{}.End(suspended)
	require.False(t, over, "a queue may start it again")
	for _, status := range []string{"", "Initializing", "Running", "Waiting", "Suspending", "Retrying"} {
		suspended.Object["status"] = map[string]any{"jobDeploymentStatus": status}
		_, over := rayjob.Kind{}.End(suspended)
		require.False(t, over, status)
	}
	delete(suspended.Object, "status")
	_, over = rayjob.Kind{}.End(suspended)
	require.False(t, over, "KubeRay has not seen it yet")
}

func TestEndsThatKubeRayWordsItself(t *testing.T) {
	for name, tc := range map[string]struct {
		status          map[string]any
		outcome         workload.Outcome
		reason, message string
	}{
		"a job that somebody stopped": {
			status:  map[string]any{"jobDeploymentStatus": "Complete", "jobStatus": "STOPPED"},
			outcome: workload.Cancelled, reason: "Cancelled", message: "its Ray job was stopped",
		},
		"a head that knows nothing of the job": {
			status: map[string]any{
				"jobDeploymentStatus": "Failed", "reason": "AppFailed", "message": "Submitter completed but Ray job not found in RayCluster.",
			},
			outcome: workload.Failed, reason: "HeadLost", message: "the Ray head, or the pod",
		},
		"a reason of KubeRay's own": {
			status:  map[string]any{"jobDeploymentStatus": "Failed", "reason": "PreRunningDeadlineExceeded", "message": "too long"},
			outcome: workload.Failed, reason: "PreRunningDeadlineExceeded", message: "too long",
		},
		"no reason": {
			status:  map[string]any{"jobDeploymentStatus": "Failed"},
			outcome: workload.Failed, reason: "Failed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, over := rayjob.Kind{}.End(&unstructured.Unstructured{Object: map[string]any{"status": tc.status}})
			require.True(t, over)
			require.Equal(t, tc.outcome, got.Outcome)
			require.Equal(t, tc.reason, got.Reason)
			require.Contains(t, got.Message, tc.message)
		})
	}
}

func TestACancelledRayJobHasEnded(t *testing.T) {
	end, over := kube.EndOf([]kube.Kind{rayjob.Kind{}}, seen(t, "cancelled"))
	require.True(t, over)
	require.Equal(t, workload.Cancelled, end.Outcome)
	require.Equal(t, events.Train, end.Stage)
	require.Equal(t, 5, end.Attempt)
}
