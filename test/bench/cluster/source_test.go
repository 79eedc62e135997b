package cluster_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"refit.dev/events"
	"refit.dev/test/bench/table"
	"refit.dev/test/clustertest"
	"refit.dev/test/platformtest"
	"refit.dev/workload"
	"refit.dev/workload/kube"
	"refit.dev/workload/rayjob"
)

// BenchmarkSource holds 1,000 labelled RayJobs before the source, lets 200 of
// them end in each round, five a second, and reads from the source's log how
// long each end took from its sight to the broker's acknowledgement. Some ends
// before wake the function.
func BenchmarkSource(b *testing.B) {
	for b.Loop() {
		jobs := launch(b, 1000)
		b.Cleanup(func() { forget(b) })
		ends(b, jobs[:20])
		jobs = jobs[20:]
		var p50, p99, held []float64
		for range rounds {
			told := ends(b, jobs[:200])
			jobs = jobs[200:]
			p50, p99 = append(p50, told[100]), append(p99, told[197])
			held = append(held, resident(b, "app.kubernetes.io/name=source", "source"))
		}
		table.Add(b, table.Row{What: "source with 1,000 labelled RayJobs", Unit: "MiB", Runs: held, AtMost: 64})
		table.Add(b, table.Row{What: "end seen by the informer → broker's acknowledgement, p50", Unit: "ms", Runs: p50})
		table.Add(b, table.Row{What: "end seen by the informer → broker's acknowledgement, p99", Unit: "ms", Runs: p99, AtMost: 250})
	}
}

// ends lets the jobs end, five a second, and returns what the source logged of
// each, in milliseconds, the fastest first.
func ends(b *testing.B, jobs []workload.Job) []float64 {
	b.Helper()
	since := metav1.Now()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for _, job := range jobs {
		<-ticker.C
		patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"refit.dev/end":"{\"outcome\":\"failed\",\"reason\":\"Bench\",\"message\":\"ended by the bench\",\"at\":\"%s\"}"}}}`, time.Now().UTC().Format(time.RFC3339))
		_, err := install.Dynamic.Resource(clustertest.RayJobs).Namespace(install.Namespace).Patch(b.Context(), job.Name(), types.MergePatchType, patch, metav1.PatchOptions{})
		require.NoError(b, err)
	}
	told := make([]float64, 0, len(jobs))
	clustertest.Await(b, "the ends", func() error {
		told = told[:0]
		all := toldAfter(b, since)
		for _, job := range jobs {
			after, ok := all[job.Name()]
			if !ok {
				return fmt.Errorf("%d of %d ends are told", len(told), len(jobs))
			}
			told = append(told, after)
		}
		return nil
	})
	slices.Sort(told)
	return told
}

// launch makes suspended RayJobs, of which KubeRay makes nothing.
func launch(b *testing.B, n int) []workload.Job {
	b.Helper()
	template, err := os.ReadFile(filepath.Join(platformtest.Root(), "test/cluster/testdata/rayjob.yaml"))
	require.NoError(b, err)
	template = bytes.Replace(template, []byte("\nspec:\n"), []byte("\nspec:\n  suspend: true\n"), 1)
	launcher, err := kube.NewLauncher(kube.LauncherConfig{Client: install.Dynamic, Namespace: install.Namespace, Template: template, Kinds: []kube.Kind{rayjob.Kind{}}})
	require.NoError(b, err)
	jobs := make([]workload.Job, 0, n)
	for attempt := 1; attempt <= n; attempt++ {
		job := workload.Job{
			Run: run, Stage: events.Train, Attempt: attempt, Spec: "s3://refit/bench/spec.json",
			Image: "dev.local/refit-test-workload:v1.0", Deadline: time.Now().Add(time.Hour),
		}
		require.NoError(b, launcher.Launch(b.Context(), job))
		jobs = append(jobs, job)
	}
	return jobs
}

func forget(b *testing.B) {
	b.Helper()
	err := install.Dynamic.Resource(clustertest.RayJobs).Namespace(install.Namespace).
		DeleteCollection(context.Background(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: selector})
	require.NoError(b, err)
}

// toldAfter is what the source logged of each workload's end, in milliseconds.
func toldAfter(b *testing.B, since metav1.Time) map[string]float64 {
	b.Helper()
	told := map[string]float64{}
	pod := install.Running(b, install.Namespace, "app.kubernetes.io/name=source")
	log, err := install.Kube.CoreV1().Pods(install.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{SinceTime: &since}).DoRaw(b.Context())
	require.NoError(b, err)
	for lines := bufio.NewScanner(bytes.NewReader(log)); lines.Scan(); {
		var line struct {
			Workload string   `json:"workload"`
			After    *float64 `json:"told_after_ms"`
		}
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.After != nil {
			told[line.Workload] = *line.After
		}
	}
	return told
}
