package process

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"refit.dev/workload"
	"refit.dev/workload/workloadtest"
)

// behaviours are scripts that write a line for each start.
var behaviours = map[workloadtest.Behaviour]string{
	workloadtest.Succeeds: `echo start >> "$REFIT_WORKLOAD.starts"`,
	workloadtest.Fails:    `echo start >> "$REFIT_WORKLOAD.starts"; exit 1`,
	workloadtest.Hangs:    `echo start >> "$REFIT_WORKLOAD.starts"; sleep 60`,
}

// harness is the suite's view of b, behind a launcher.
func harness(b *bench, l workload.Launcher) workloadtest.Harness {
	return workloadtest.Harness{
		Launcher: l, Ends: b.ends,
		Prepare: func(job workload.Job, how workloadtest.Behaviour) workload.Job {
			job.Spec = script(job.Attempt, behaviours[how]).Spec
			return job
		},
		Starts: func(name string) int {
			starts, err := os.ReadFile(filepath.Join(b.cfg.Dir, name+".starts"))
			if !os.IsNotExist(err) {
				require.NoError(b.t, err)
			}
			return strings.Count(string(starts), "start\n")
		},
	}
}

func TestManagerIsALauncher(t *testing.T) {
	workloadtest.Run(t, func(t *testing.T) workloadtest.Harness {
		b := setup(t)
		return harness(b, b.Manager)
	})
}

func TestClientIsALauncher(t *testing.T) {
	workloadtest.Run(t, func(t *testing.T) workloadtest.Harness {
		b := setup(t)
		server := httptest.NewServer(Handler(b.Manager, "secret"))
		t.Cleanup(server.Close)
		return harness(b, &Client{URL: server.URL, Token: "secret"})
	})
}
