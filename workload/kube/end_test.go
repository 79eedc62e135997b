package kube_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"refit.dev/events"
	"refit.dev/workload"
	"refit.dev/workload/kube"
	"refit.dev/workload/trainjob"
)

// trainJob is an object as a cluster might hold it.
func trainJob(change func(*unstructured.Unstructured)) *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob",
		"metadata": map[string]any{
			"name": "r-1-train-1", "uid": "u", "creationTimestamp": "2026-11-23T11:00:00Z",
			"labels": map[string]any{"refit.dev/run": "r-1", "refit.dev/stage": "train", "refit.dev/attempt": "1"},
		},
	}}
	change(object)
	return object
}

func annotation(text string) func(*unstructured.Unstructured) {
	return func(o *unstructured.Unstructured) { o.SetAnnotations(map[string]string{kube.AnnotationEnd: text}) }
}

func label(name, value string) func(*unstructured.Unstructured) {
	return func(o *unstructured.Unstructured) {
		complete(o)
		labels := o.GetLabels()
		labels[name] = value
		o.SetLabels(labels)
	}
}

func complete(o *unstructured.Unstructured) { o.Object["status"] = trainStatus("succeeds") }

func TestAnAnnotationEndsAWorkload(t *testing.T) {
	object := trainJob(annotation(`{"outcome":"failed","reason":"ImagePull","message":"no such image","at":"2026-11-23T13:00:01+01:00"}`))
	want := workload.End{
		Run: "r-1", Stage: events.Train, Attempt: 1, Workload: "r-1-train-1", UID: "u",
		Outcome: workload.Failed, Reason: "ImagePull", Message: "no such image",
		StartedAt: noon.Add(-time.Hour), EndedAt: noon.Add(time.Second),
	}
	got, over := kube.EndOf(kinds, object)
	require.True(t, over)
	require.Equal(t, want, got)
	complete(object)
	got, over = kube.EndOf(kinds, object)
	require.True(t, over)
	require.Equal(t, want, got, "whatever the status says")
}

func TestAnEndIsNotBeforeItsStart(t *testing.T) {
	end, over := kube.EndOf(kinds, trainJob(annotation(`{"outcome":"cancelled","reason":"Cancelled","at":"2026-11-23T10:59:59Z"}`)))
	require.True(t, over)
	require.Equal(t, end.StartedAt, end.EndedAt)
}

func TestWhatIsNoEnd(t *testing.T) {
	for name, change := range map[string]func(*unstructured.Unstructured){
		"an object that runs":                   func(*unstructured.Unstructured) {},
		"an annotation that nobody can read":    annotation("cancelled"),
		"an annotation without an outcome":      annotation("{}"),
		"an object without a run":               label("refit.dev/run", ""),
		"an object of a stage that is none":     label("refit.dev/stage", "deploy"),
		"an object of an attempt that is none":  label("refit.dev/attempt", "first"),
		"an object of a kind that runs nothing": func(o *unstructured.Unstructured) { complete(o); o.SetKind("MPIJob") },
	} {
		_, over := kube.EndOf(kinds, trainJob(change))
		require.False(t, over, name)
	}
}

func TestAnObjectThatVanished(t *testing.T) {
	end, over := kube.Vanished(kinds, trainJob(func(*unstructured.Unstructured) {}), noon)
	require.True(t, over)
	require.Equal(t, workload.End{
		Run: "r-1", Stage: events.Train, Attempt: 1, Workload: "r-1-train-1", UID: "u",
		Outcome: workload.Failed, Reason: "Deleted", Message: "TrainJob r-1-train-1 was deleted before its end: replay the run to do it again",
		StartedAt: noon.Add(-time.Hour), EndedAt: noon,
	}, end)
	_, over = kube.Vanished(kinds, trainJob(complete), noon)
	require.False(t, over, "it had ended")
	_, over = kube.Vanished(kinds, trainJob(label("refit.dev/run", "")), noon)
	require.False(t, over, "it was none of refit's")
}

func TestFinishSeesWhatCameInBetween(t *testing.T) {
	verdict := kube.Verdict{Outcome: workload.Failed, Reason: "Unschedulable", Message: "no node has a GPU", EndedAt: noon}
	for name, tc := range map[string]struct {
		between func(*unstructured.Unstructured)
		want    string
	}{
		"nothing":                 {want: "Unschedulable"},
		"a change of no matter":   {between: func(o *unstructured.Unstructured) { o.SetAnnotations(map[string]string{"a": "b"}) }, want: "Unschedulable"},
		"the end":                 {between: complete, want: "Completed"},
		"a cancel by another one": {between: annotation(`{"outcome":"cancelled","reason":"Cancelled"}`), want: "Cancelled"},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			require.NoError(t, b.Launch(t.Context(), job()))
			stale := b.server.Object(job().Name())
			if tc.between != nil {
				b.server.Change(job().Name(), tc.between)
			}
			objects := b.server.client(t).Resource(trainjob.Kind{}.Resource()).Namespace("kubeflow")
			done, err := kube.Finish(t.Context(), objects, trainjob.Kind{}, stale, verdict)
			require.NoError(t, err)
			end, over := kube.EndOf(kinds, done)
			require.True(t, over)
			require.Equal(t, tc.want, end.Reason)
			suspended, _, err := unstructured.NestedBool(done.Object, "spec", "suspend")
			require.NoError(t, err)
			require.Equal(t, tc.want == "Unschedulable", suspended, "what has ended is left alone")
		})
	}
}

func TestFinishOfWhatIsGone(t *testing.T) {
	b := setup(t)
	gone := trainJob(func(*unstructured.Unstructured) {})
	objects := b.server.client(t).Resource(trainjob.Kind{}.Resource()).Namespace("kubeflow")
	_, err := kube.Finish(t.Context(), objects, trainjob.Kind{}, gone, kube.Verdict{Outcome: workload.Failed})
	require.ErrorIs(t, err, workload.ErrNotFound)
	b.server.Refuse = func(r *http.Request) (int, string) {
		if r.Method == http.MethodPatch {
			return http.StatusConflict, "changed"
		}
		return 0, ""
	}
	_, err = kube.Finish(t.Context(), objects, trainjob.Kind{}, gone, kube.Verdict{Outcome: workload.Failed})
	require.ErrorIs(t, err, workload.ErrNotFound)
}
