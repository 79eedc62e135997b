package cluster_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"refit.dev/events"
	"refit.dev/platform/journal"
	"refit.dev/test/bench/table"
	"refit.dev/test/platformtest"
	"refit.dev/workload/kube"
	"refit.dev/workload/rayjob"
	"refit.dev/workload/trainjob"
)

// BenchmarkOperators sends runs through all five stages with a stand-in for the
// workloads, all of them TrainJobs, and some with a RayJob, and watches what KubeRay, Trainer and the kubelet make of them:
// from an object's being there to its workload's running, and from the
// workload's end to the object's.
func BenchmarkOperators(b *testing.B) {
	file := filepath.Join(b.TempDir(), "stand-in.parquet")
	require.NoError(b, os.WriteFile(file, []byte("stand-in"), 0o600))
	template, err := os.ReadFile(filepath.Join(platformtest.Root(), "test/cluster/testdata/rayjob.yaml"))
	require.NoError(b, err)
	for b.Loop() {
		var whole []float64
		starts, closes := map[string][]float64{}, map[string][]float64{}
		for range rounds {
			seen := watched(b)
			began := time.Now()
			run := install.Started(b, install.Upload(b, uuid.NewString()+".parquet", file, nil).ID())
			view := install.Ended(b, run)
			whole = append(whole, time.Since(began).Seconds())
			require.Equal(b, journal.Rejected, view.State, "the stand-in's model is too bad: %s", view.Reason)
			again, _ := install.Reached(b, events.Train, nil)
			install.Launch(b, again, events.Train, rayjob.Kind{}, template, "dev.local/refit-test-workload:v1.0", time.Hour)
			require.Equal(b, journal.Rejected, install.Ended(b, again.ID).State)
			for _, w := range seen(run, again.ID) {
				starts[w.kind] = append(starts[w.kind], w.running.Sub(w.made).Seconds())
				closes[w.kind] = append(closes[w.kind], w.ended.Sub(w.exited).Seconds())
			}
		}
		for _, kind := range slices.Sorted(maps.Keys(starts)) {
			table.Add(b, table.Row{What: kind + " is there → its workload runs (operator, scheduler, kubelet)", Unit: "s", Runs: starts[kind]})
			table.Add(b, table.Row{What: "workload's exit → its " + kind + " has ended (kubelet, operator)", Unit: "s", Runs: closes[kind]})
		}
		table.Add(b, table.Row{What: "five stages that do nothing, on the cluster", Unit: "s", Runs: whole})
	}
}

// sight is when this machine saw what became of one workload.
type sight struct {
	kind                         string
	made, running, exited, ended time.Time
}

// watched looks at all objects and pods of workloads. What it returns stops that
// and tells the workloads of some runs, each of which it saw whole.
func watched(b *testing.B) func(runs ...string) []sight {
	b.Helper()
	all := map[string]*sight{}
	of := func(name string) *sight {
		if all[name] == nil {
			all[name] = &sight{}
		}
		return all[name]
	}
	var mu sync.Mutex
	var stops []func()
	follow := func(resource schema.GroupVersionResource, selector string, see func(*unstructured.Unstructured)) {
		objects := install.Dynamic.Resource(resource).Namespace(install.Namespace)
		now, err := objects.List(b.Context(), metav1.ListOptions{LabelSelector: selector, Limit: 1})
		require.NoError(b, err)
		w, err := objects.Watch(b.Context(), metav1.ListOptions{LabelSelector: selector, ResourceVersion: now.GetResourceVersion()})
		require.NoError(b, err)
		var watching sync.WaitGroup
		watching.Go(func() {
			for e := range w.ResultChan() {
				if object, ok := e.Object.(*unstructured.Unstructured); ok {
					mu.Lock()
					see(object)
					mu.Unlock()
				}
			}
		})
		stops = append(stops, func() { w.Stop(); watching.Wait() })
	}
	for _, kind := range []kube.Kind{rayjob.Kind{}, trainjob.Kind{}} {
		follow(kind.Resource(), kube.Selector, func(object *unstructured.Unstructured) {
			_, over := kind.End(object)
			of(object.GetName()).object(object.GetKind(), over)
		})
	}
	// A Ray cluster's own pods are not the workload.
	follow(corev1.SchemeGroupVersion.WithResource("pods"), kube.Selector+",!ray.io/node-type", func(pod *unstructured.Unstructured) {
		phase, _, _ := unstructured.NestedString(pod.Object, "status", "phase")
		of(pod.GetLabels()[kube.LabelWorkload]).pod(corev1.PodPhase(phase))
	})
	return func(runs ...string) []sight {
		for _, stop := range stops {
			stop()
		}
		var list []sight
		for name, w := range all {
			if !slices.ContainsFunc(runs, func(run string) bool { return strings.HasPrefix(name, run) }) {
				continue
			}
			require.NotContains(b, []bool{w.made.IsZero(), w.running.IsZero(), w.exited.IsZero(), w.ended.IsZero()}, true, "%s: %+v", name, w)
			list = append(list, *w)
		}
		require.NotEmpty(b, list)
		return list
	}
}

func (w *sight) object(kind string, over bool) {
	w.kind = kind
	first(&w.made)
	if over {
		first(&w.ended)
	}
}

func (w *sight) pod(phase corev1.PodPhase) {
	if phase != corev1.PodPending {
		first(&w.running)
	}
	if phase == corev1.PodSucceeded || phase == corev1.PodFailed {
		first(&w.exited)
	}
}

// first keeps the time at which something was seen first.
func first(at *time.Time) {
	if at.IsZero() {
		*at = time.Now()
	}
}
