package clustertest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"refit.dev/events"
	"refit.dev/test/clustertest/canned"
	"refit.dev/workload"
	"refit.dev/workload/kube"
)

// The kinds of objects that run workloads.
var (
	RayJobs   = schema.GroupVersionResource{Group: "ray.io", Version: "v1", Resource: "rayjobs"}
	TrainJobs = schema.GroupVersionResource{Group: "trainer.kubeflow.org", Version: "v1alpha1", Resource: "trainjobs"}
)

// Reached writes a run to the store that has come as far as stage s by canned
// results, and returns it with the event that begins s, which nobody was sent.
func (i *Install) Reached(t testing.TB, s events.Stage, parameters map[string]any) (events.Run, event.Event) {
	t.Helper()
	run := i.define(t, parameters)
	next, err := events.Envelope{
		Type: events.RunStarted, Source: events.FunctionSource(events.Prepare), Run: run.ID, Stage: events.Prepare,
		Cause: run.Cause.ID, Traceparent: run.Traceparent, Time: run.CreatedAt,
	}.Event(run)
	require.NoError(t, err)
	for _, before := range s.Before() {
		next = i.complete(t, run, before, next.ID())
	}
	return run, next
}

func (i *Install) define(t testing.TB, parameters map[string]any) events.Run {
	t.Helper()
	p, err := events.Defaults().With(parameters)
	require.NoError(t, err)
	now, id := time.Now().UTC().Truncate(time.Second), uuid.NewString()
	run := events.Run{
		ID: events.RunID(events.ClaimOfRequest("/test", id), now), Parameters: p, CreatedAt: now,
		Data:  events.Data{Artifact: events.Artifact{URI: "s3://landing/" + p.EntityDataPath, Bytes: 1, ETag: "e"}, LandedAt: now},
		Cause: events.Cause{Type: string(events.RunRequested), Source: "/test", ID: id},
	}
	run.Traceparent = events.Traceparent("", run.ID, run.ID)
	i.put(t, "runs/"+run.ID+"/run.json", run)
	return run
}

func (i *Install) complete(t testing.TB, run events.Run, s events.Stage, cause string) event.Event {
	t.Helper()
	made := events.Artifacts{}
	for _, name := range canned.Artifacts(s) {
		made[name] = canned.Artifact(fmt.Sprintf("s3://refit/runs/%s/%s/1/%s", run.ID, s, name), nil)
	}
	e, err := events.Envelope{
		Type: s.Completed(), Source: events.FunctionSource(s), Run: run.ID, Stage: s, Key: "1", Cause: cause, Traceparent: run.Traceparent, Time: time.Now().UTC(),
	}.Event(events.Completed{Run: run.ID, Stage: s, Attempt: 1, Figures: canned.Figures(s, run.Parameters), Artifacts: made})
	require.NoError(t, err)
	i.put(t, "runs/"+run.ID+"/"+string(s)+"/mark", e)
	return e
}

// Plan writes the spec of the first attempt of a run at stage s, as the function
// does, and returns its job. Image and deadline are those of the attempt.
func (i *Install) Plan(t testing.TB, run events.Run, s events.Stage, image string, deadline time.Duration) workload.Job {
	t.Helper()
	job := workload.Job{
		Run: run.ID, Stage: s, Attempt: 1, Spec: fmt.Sprintf("s3://refit/runs/%s/%s/1/spec.json", run.ID, s),
		Image: image, Deadline: time.Now().Add(deadline).UTC().Truncate(time.Second),
	}
	i.put(t, fmt.Sprintf("runs/%s/%s/1/spec.json", run.ID, s), workload.Spec{
		Run: run.ID, Stage: s, Attempt: 1, Inputs: events.Artifacts{}, Output: fmt.Sprintf("s3://refit/runs/%s/%s/1/", run.ID, s),
		Parameters: run.Parameters, Image: image, Deadline: job.Deadline, Data: run.Data,
	})
	return job
}

// Launch launches the first attempt of a run at stage s, as the function does,
// from the template of one kind.
func (i *Install) Launch(t testing.TB, run events.Run, s events.Stage, kind kube.Kind, template []byte, image string, deadline time.Duration) workload.Job {
	t.Helper()
	job := i.Plan(t, run, s, image, deadline)
	launcher, err := kube.NewLauncher(kube.LauncherConfig{
		Client: i.Dynamic, Namespace: i.Namespace, Template: template, Kinds: []kube.Kind{kind},
	})
	require.NoError(t, err)
	require.NoError(t, launcher.Launch(t.Context(), job))
	return job
}

// Open opens the gate of a workload that waits at it.
func (i *Install) Open(t testing.TB, run string, s events.Stage) {
	t.Helper()
	require.NoError(t, i.State().Put(t.Context(), "gates/"+run+"/"+string(s), nil))
}

// Workloads are the objects of a run, of both kinds.
func (i *Install) Workloads(t testing.TB, run string) []unstructured.Unstructured {
	t.Helper()
	var all []unstructured.Unstructured
	for _, kind := range []schema.GroupVersionResource{RayJobs, TrainJobs} {
		list, err := i.Dynamic.Resource(kind).Namespace(i.Namespace).List(t.Context(), metav1.ListOptions{LabelSelector: kube.LabelRun + "=" + run})
		require.NoError(t, err)
		all = append(all, list.Items...)
	}
	return all
}

// Put uploads an object to the landing bucket.
func (i *Install) Put(t testing.TB, key, content string, metadata map[string]string) {
	t.Helper()
	bucket := i.Connection().S3.Landing
	_, err := i.S3().Client().PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(content), Metadata: metadata})
	require.NoError(t, err)
}

func (i *Install) put(t testing.TB, key string, value any) {
	t.Helper()
	body, err := json.Marshal(value)
	require.NoError(t, err)
	require.NoError(t, i.State().Put(t.Context(), key, body))
}
