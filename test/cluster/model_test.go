package cluster_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"refit.dev/events"
	"refit.dev/platform/journal"
	"refit.dev/test/clustertest"
	"refit.dev/workload/kube"
)

// images are the ends of the names of what runs each stage.
var images = map[events.Stage]string{
	events.Prepare: "refit-data-prep", events.Features: "refit-data-prep",
	events.Train: "refit-ray-train", events.Tune: "refit-ray-train", events.Register: "refit-mlflow-ops",
}

// TestAnUploadBecomesARegisteredModel is the main job on a cluster: 600 real
// mails, real Feast, Ray and MLflow, three trials.
func TestAnUploadBecomesARegisteredModel(t *testing.T) {
	t.Parallel()
	p := whole.on(t)
	for _, s := range events.Stages() {
		p.Asleep(t, s)
	}
	pods := p.Watch(t)
	name := "cluster-" + uuid.NewString()[:8]
	announced := p.Upload(t, name+".parquet", p.Sample(t, 600), map[string]string{
		"refit-num-hpo-trials": "3", "refit-model-name": name, "refit-f1-threshold": "0.7",
	})
	run := p.Ended(t, p.Started(t, announced.ID()))

	require.Equal(t, journal.Registered, run.State, run.Reason)
	require.InDelta(t, 600, run.Stage(events.Prepare).Figures["rows"], 0)
	require.InDelta(t, 3, run.Stage(events.Tune).Figures["trials"], 0)
	versions := p.Versions(t, name)
	require.Len(t, versions, 1)
	require.Equal(t, run.ID, versions[0].Tag("refit.run"))
	requireChain(t, p, announced, run.ID)
	requireReal(t, p, pods(), run.ID)
	requireCleared(t, p, run.ID)
}

// requireChain requires that the journal tells the run as what it was: each
// event caused by one before it, from the upload to the model.
func requireChain(t *testing.T, p *clustertest.Install, announced event.Event, run string) {
	t.Helper()
	list, err := p.Journal.Events(t.Context(), journal.Filter{Run: run})
	require.NoError(t, err)
	slices.SortStableFunc(list, func(a, b event.Event) int { return a.Time().Compare(b.Time()) })
	told := map[string]string{announced.ID(): "upload"} // what each event says, by its id
	var order []string
	for _, e := range list {
		require.NoError(t, events.Validate(e))
		require.Equal(t, run, events.Extension(e, events.ExtCorrelationID))
		line := strings.TrimPrefix(e.Type(), "dev.refit.")
		if e.Type() == string(events.WorkloadEnded) {
			line = events.Extension(e, events.ExtStage) + " ended"
		} else {
			line += " because of " + told[events.Extension(e, events.ExtCausationID)]
		}
		told[e.ID()] = strings.Split(line, " because of ")[0]
		if !slices.Contains(order, line) { // the sweep may have said it again
			order = append(order, line)
		}
	}
	require.Equal(t, chain(), order)
}

// chain is the order of a run's events, and their causes.
func chain() []string {
	lines, cause := []string{"run.started because of upload"}, "run.started"
	for _, s := range events.Stages() {
		lines = append(lines, fmt.Sprintf("%s.started because of %s", s, cause), string(s)+" ended")
		cause = string(s) + ".completed"
		if s == events.Register {
			cause = "model.registered"
		}
		lines = append(lines, fmt.Sprintf("%s because of %s ended", cause, s))
	}
	return lines
}

// requireReal requires that all five functions woke, and that each stage ran as
// an object of its kind, in pods of the project's own images with the run's
// labels.
func requireReal(t *testing.T, p *clustertest.Install, pods []corev1.Pod, run string) {
	t.Helper()
	kinds := map[string]string{}
	for _, w := range p.Workloads(t, run) {
		kinds[w.GetLabels()[kube.LabelStage]] = w.GetKind()
	}
	require.Equal(t, map[string]string{"prepare": "TrainJob", "features": "TrainJob", "train": "RayJob", "tune": "RayJob", "register": "TrainJob"}, kinds)
	ran, woken := map[events.Stage]bool{}, map[string]bool{}
	for _, pod := range pods {
		woken[pod.Labels["serving.knative.dev/service"]] = true
		if pod.Labels[kube.LabelRun] != run {
			continue
		}
		s := events.Stage(pod.Labels[kube.LabelStage])
		require.Contains(t, pod.Spec.Containers[0].Image, images[s], pod.Name)
		ran[s] = true
	}
	for _, s := range events.Stages() {
		require.True(t, ran[s], "no pod of %s was seen", s)
		require.True(t, woken[string(s)], "function %s did not wake", s)
	}
}

// requireCleared shortens the time that the run's objects stay, and requires
// that they go, and every pod with them.
func requireCleared(t *testing.T, p *clustertest.Install, run string) {
	t.Helper()
	patch := []byte(`{"metadata":{"annotations":{"` + kube.AnnotationTTL + `":"1s"}}}`)
	for _, w := range p.Workloads(t, run) {
		_, err := p.Dynamic.Resource(resourceOf(w)).Namespace(p.Namespace).Patch(t.Context(), w.GetName(), types.MergePatchType, patch, metav1.PatchOptions{})
		require.NoError(t, err)
	}
	clustertest.Await(t, "the run's pods and objects to go", func() error {
		pods, objects := len(p.Pods(t, p.Namespace, kube.LabelRun+"="+run)), len(p.Workloads(t, run))
		if pods+objects > 0 {
			return fmt.Errorf("%d pods and %d objects are left", pods, objects)
		}
		return nil
	})
}

func resourceOf(w unstructured.Unstructured) schema.GroupVersionResource {
	if w.GetKind() == "RayJob" {
		return clustertest.RayJobs
	}
	return clustertest.TrainJobs
}
