// Package cluster_test measures refit on the cluster of KUBECONFIG. Its figures
// belong into docs/benchmarks.md.
package cluster_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"refit.dev/events"
	"refit.dev/platform/journal"
	"refit.dev/platform/service"
	"refit.dev/test/clustertest"
	"refit.dev/test/platformtest"
	"refit.dev/workload"
	"refit.dev/workload/kube"
	"refit.dev/workload/rayjob"
)

const (
	mebibyte = 1 << 20
	senders  = 8
	selector = "refit.dev/run=" + run
	run      = "r-20261123-060000-0a1b2c3d"
)

var install *clustertest.Install

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(measured(m))
}

func measured(m *testing.M) int {
	cluster, err := clustertest.Connect()
	if err == nil {
		install, err = cluster.Install(context.Background(), clustertest.Overlay{Dir: "test/cluster/noop", Namespace: "refit-noop"})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer install.Close()
	return m.Run()
}

// BenchmarkFunctionMemory sends prepare 1,000 events that it gives a verdict,
// and asks the kubelet what the function's container holds afterwards.
func BenchmarkFunctionMemory(b *testing.B) {
	for b.Loop() {
		list := make(chan event.Event, 1000)
		for range cap(list) {
			list <- elsewhere(b)
		}
		close(list)
		began := time.Now()
		var sending sync.WaitGroup
		for range senders {
			sending.Go(func() {
				for e := range list {
					install.Emit(b, e)
				}
			})
		}
		sending.Wait()
		b.ReportMetric(1000/time.Since(began).Seconds(), "events/s")
		b.ReportMetric(resident(b, clustertest.Function(events.Prepare), "function"), "MiB")
	}
}

// elsewhere is the event of an upload to a bucket that starts no runs.
func elsewhere(tb testing.TB) event.Event {
	tb.Helper()
	key := uuid.NewString()
	list, err := events.FromNotification([]byte(`{"Records":[{"eventSource":"aws:s3","awsRegion":"us-east-1","eventTime":"2026-11-23T06:00:00Z",` +
		`"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"elsewhere"},"object":{"key":"` + key + `.parquet","size":4,"eTag":"e"}}}]}`))
	require.NoError(tb, err)
	return list[0]
}

// resident is the largest resident memory, in MiB, of a container in the pods
// of a selector, as the kubelet counts it.
func resident(tb testing.TB, pods, container string) float64 {
	tb.Helper()
	var most float64
	for _, pod := range install.Pods(tb, install.Namespace, pods) {
		if pod.Status.Phase != corev1.PodRunning {
			continue
		}
		clustertest.Await(tb, "the kubelet's figures of "+pod.Name, func() error {
			held, err := held(tb.Context(), &pod, container)
			most = max(most, held)
			return err
		})
	}
	require.NotZero(tb, most, "no pod of %s runs", pods)
	return most
}

func held(ctx context.Context, pod *corev1.Pod, container string) (float64, error) {
	body, err := install.Kube.CoreV1().RESTClient().Get().AbsPath("/api/v1/nodes/" + pod.Spec.NodeName + "/proxy/stats/summary").DoRaw(ctx)
	if err != nil {
		return 0, fmt.Errorf("ask the kubelet: %w", err)
	}
	var summary struct {
		Pods []struct {
			PodRef     struct{ Name, Namespace string }
			Containers []struct {
				Name   string
				Memory struct{ RSSBytes, WorkingSetBytes float64 }
			}
		}
	}
	if err := json.Unmarshal(body, &summary); err != nil {
		return 0, fmt.Errorf("read the kubelet's figures: %w", err)
	}
	for _, p := range summary.Pods {
		for _, c := range p.Containers {
			if p.PodRef.Name == pod.Name && c.Name == container && c.Memory.WorkingSetBytes > 0 {
				return max(c.Memory.RSSBytes, c.Memory.WorkingSetBytes) / mebibyte, nil
			}
		}
	}
	return 0, fmt.Errorf("no figures of %s yet", pod.Name)
}

// BenchmarkFunctionStart starts the binary of prepare ten times, against the
// store of the cluster, and waits until it says that it is ready.
func BenchmarkFunctionStart(b *testing.B) {
	binary := filepath.Join(b.TempDir(), "prepare")
	build := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "./functions/prepare/cmd/prepare")
	build.Dir, build.Env = platformtest.Root(), append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(b, err, string(out))
	var took []float64
	for b.Loop() {
		for range 10 {
			took = append(took, started(b, binary))
		}
	}
	slices.Sort(took)
	b.ReportMetric(took[len(took)/2], "ms-p50")
	b.ReportMetric(took[len(took)-1], "ms-max")
}

// started starts the binary and is the milliseconds until it serves.
func started(b *testing.B, binary string) float64 {
	b.Helper()
	port, err := service.FreePort("127.0.0.1")
	require.NoError(b, err)
	s3 := install.S3()
	command := exec.CommandContext(b.Context(), binary)
	command.Env = []string{
		"LISTEN_ADDRESS=127.0.0.1:" + strconv.Itoa(port), "K_SINK=" + install.Connection().Broker, "REFIT_S3_ENDPOINT=" + s3.Endpoint,
		"AWS_ACCESS_KEY_ID=" + s3.AccessKey, "AWS_SECRET_ACCESS_KEY=" + s3.SecretKey, "REFIT_LAUNCHER_URL=http://127.0.0.1:1",
	}
	began := time.Now()
	require.NoError(b, command.Start())
	defer func() {
		_ = command.Process.Kill()
		_ = command.Wait() // by the signal
	}()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for {
		response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/health/readiness", port))
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return float64(time.Since(began).Microseconds()) / 1000
			}
		}
		require.Less(b, time.Since(began), time.Minute)
		<-ticker.C
	}
}

// BenchmarkSource holds 1,000 labelled RayJobs before the source, lets 200 of
// them end, five a second, and reads from the source's log how long each end
// took from its sight to the broker's acknowledgement.
func BenchmarkSource(b *testing.B) {
	for b.Loop() {
		jobs := launch(b, 1000)
		b.Cleanup(func() { forget(b) })
		since := metav1.Now()
		ticker := time.NewTicker(200 * time.Millisecond)
		for _, job := range jobs[:200] {
			<-ticker.C
			patch := []byte(`{"metadata":{"annotations":{"refit.dev/end":"{\"outcome\":\"failed\",\"reason\":\"Bench\",\"message\":\"ended by the bench\",\"at\":\"` + time.Now().UTC().Format(time.RFC3339) + `\"}"}}}`)
			_, err := install.Dynamic.Resource(clustertest.RayJobs).Namespace(install.Namespace).Patch(b.Context(), job.Name(), types.MergePatchType, patch, metav1.PatchOptions{})
			require.NoError(b, err)
		}
		ticker.Stop()
		var told []float64
		clustertest.Await(b, "the ends", func() error {
			told = slices.Collect(maps.Values(toldAfter(b, since)))
			if len(told) < 200 {
				return fmt.Errorf("%d of 200 ends are told", len(told))
			}
			return nil
		})
		slices.Sort(told)
		b.ReportMetric(told[len(told)/2], "ms-p50")
		b.ReportMetric(told[len(told)*99/100], "ms-p99")
		b.ReportMetric(resident(b, "app.kubernetes.io/name=source", "source"), "MiB")
	}
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

// BenchmarkColdFunction sends prepare an event while it sleeps, and one while
// it is awake: Knative's time to wake it is the difference.
func BenchmarkColdFunction(b *testing.B) {
	for b.Loop() {
		install.Asleep(b, events.Prepare)
		b.ReportMetric(verdict(b), "ms-cold")
		var warm []float64
		for range 20 {
			warm = append(warm, verdict(b))
		}
		slices.Sort(warm)
		b.ReportMetric(warm[len(warm)/2], "ms-warm-p50")
	}
}

// verdict is the milliseconds from sending an event to the journal's having
// prepare's verdict on it.
func verdict(b *testing.B) float64 {
	b.Helper()
	e := elsewhere(b)
	began := time.Now()
	install.Emit(b, e)
	install.Until(b, journal.Filter{Types: []string{string(events.LandingFiltered)}, Since: began.Add(-time.Minute)}, func(v event.Event) bool {
		return events.Extension(v, events.ExtCausationID) == e.ID()
	})
	return float64(time.Since(began).Microseconds()) / 1000
}
