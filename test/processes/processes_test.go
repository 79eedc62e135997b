// Package processes_test runs the five functions as five processes of their
// own, each served by func-go on a port, with the platform around them.
package processes_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/platform/host"
	"refit.dev/platform/journal"
	"refit.dev/platform/service"
	"refit.dev/test/platformtest"
)

var (
	shared *platformtest.Platform
	ports  = map[events.Stage]int{}
)

func TestMain(m *testing.M) {
	platformtest.Main(m, &shared, func(c *host.Config) {
		c.Functions = map[string]string{}
		for _, s := range events.Stages() {
			port, err := service.FreePort("127.0.0.1")
			if err != nil {
				panic(err)
			}
			ports[s] = port
			c.Functions[string(s)] = fmt.Sprintf("http://127.0.0.1:%d/", port)
		}
	})
}

func TestFunctionsInProcessesOfTheirOwnRegisterAModel(t *testing.T) {
	announced := shared.Upload(t, "processes.parquet", shared.Sample(t, 600), map[string]string{"refit-num-hpo-trials": "1", "refit-f1-threshold": "0.7"})
	// The functions start after the upload: the broker holds the event for them.
	for _, s := range events.Stages() {
		serve(t, s)
	}
	run := shared.Ended(t, shared.Started(t, announced.ID()))
	require.Equal(t, journal.Registered, run.State, run.Reason)
	require.Len(t, shared.Launched(t, run.ID), len(events.Stages()))
}

// serve builds a function's own main and runs it until the test ends.
func serve(t *testing.T, s events.Stage) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), string(s))
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./functions/"+string(s)+"/cmd/"+string(s))
	build.Dir = platformtest.Root()
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))

	function := exec.CommandContext(t.Context(), binary)
	function.Env = append(os.Environ(), "LISTEN_ADDRESS=127.0.0.1:"+strconv.Itoa(ports[s]))
	for name, value := range shared.FunctionEnv() {
		function.Env = append(function.Env, name+"="+value)
	}
	function.Cancel = func() error { return function.Process.Signal(os.Interrupt) }
	function.WaitDelay = 10 * time.Second
	require.NoError(t, function.Start())
	t.Cleanup(func() { _ = function.Wait() }) // ended by the test's context
	require.Eventually(t, func() bool { return ready(ports[s]) }, 30*time.Second, 50*time.Millisecond, "function %s is not ready", s)
}

func ready(port int) bool {
	response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/health/readiness", port))
	if err != nil {
		return false
	}
	return response.Body.Close() == nil && response.StatusCode == http.StatusOK
}
