package trainjob_test

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"refit.dev/events"
	"refit.dev/workload"
	"refit.dev/workload/kube"
	"refit.dev/workload/trainjob"
)

// seen reads an object as a cluster with Trainer 2.2.0 had it.
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
		"succeeded": {Outcome: workload.Succeeded, Reason: "Completed", StartedAt: at("09:28:37"), EndedAt: at("09:28:42")},
		"failed": {
			Outcome: workload.Failed, Reason: "FailedJobs", StartedAt: at("09:27:09"), EndedAt: at("09:27:16"),
			Message: "jobset failed due to one or more job failures (first failed job: r-20261123-060000-0a1b2c3d-prepare-1-node-0)",
		},
		"deadline": {
			Outcome: workload.Deadline, Reason: "DeadlineExceeded", Message: "it was ended at its deadline",
			StartedAt: at("09:27:09"), EndedAt: at("09:27:14"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, over := trainjob.Kind{}.End(seen(t, name))
			require.True(t, over)
			got.StartedAt, got.EndedAt = got.StartedAt.UTC(), got.EndedAt.UTC()
			require.Equal(t, want, got)
		})
	}
}

func TestWhatIsNoEnd(t *testing.T) {
	suspended := seen(t, "suspended")
	_, over := trainjob.Kind{}.End(suspended)
	require.False(t, over, "a queue may start it again")
	suspended.Object["status"] = map[string]any{"conditions": []any{map[string]any{"type": "Failed", "status": "False"}}}
	_, over = trainjob.Kind{}.End(suspended)
	require.False(t, over, "the condition is not true")
	delete(suspended.Object, "status")
	_, over = trainjob.Kind{}.End(suspended)
	require.False(t, over, "Trainer has not seen it yet")
}

func TestACancelledTrainJobHasEnded(t *testing.T) {
	end, over := kube.EndOf([]kube.Kind{trainjob.Kind{}}, seen(t, "cancelled"))
	require.True(t, over)
	require.Equal(t, workload.Cancelled, end.Outcome)
	require.Equal(t, events.Prepare, end.Stage)
	require.Equal(t, 4, end.Attempt)
}
