package cluster_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"refit.dev/events"
	"refit.dev/platform/journal"
	"refit.dev/platform/service"
	"refit.dev/test/bench/table"
	"refit.dev/test/clustertest"
	"refit.dev/test/platformtest"
)

// BenchmarkFunctionMemory sends prepare 1,000 events that it gives a verdict,
// and asks the kubelet what the function's container holds afterwards.
func BenchmarkFunctionMemory(b *testing.B) {
	for b.Loop() {
		var held []float64
		for range rounds {
			flood(b, 1000)
			held = append(held, resident(b, clustertest.Function(events.Prepare), "function"))
		}
		table.Add(b, table.Row{What: "function's container after 1,000 events through the broker", Unit: "MiB", Runs: held, AtMost: 24})
	}
}

// flood sends n events as fast as the broker takes them.
func flood(b *testing.B, n int) {
	b.Helper()
	list := make(chan event.Event, n)
	for range n {
		list <- elsewhere(b)
	}
	close(list)
	var sending sync.WaitGroup
	for range senders {
		sending.Go(func() {
			for e := range list {
				install.Emit(b, e)
			}
		})
	}
	sending.Wait()
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
	table.Add(b, table.Row{What: "function's process started → ready", Unit: "ms", Runs: took, AtMost: 300})
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

// BenchmarkColdFunction sends prepare an event while it sleeps, and some while
// it is awake: Knative's time to wake it is the difference.
func BenchmarkColdFunction(b *testing.B) {
	for b.Loop() {
		var cold, warm []float64
		for range rounds {
			install.Asleep(b, events.Prepare)
			cold = append(cold, verdict(b))
			for range 20 {
				warm = append(warm, verdict(b))
			}
		}
		table.Add(b, table.Row{What: "event sent → verdict of a sleeping function in the journal (Knative wakes it)", Unit: "ms", Runs: cold})
		table.Add(b, table.Row{What: "event sent → verdict of a function that is awake", Unit: "ms", Runs: warm})
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
