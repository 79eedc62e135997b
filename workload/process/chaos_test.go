package process

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refit.dev/workload"
)

// TestManagersKilledAtRandom kills one manager after the other while they launch
// the same jobs, and then lets one finish: no job ran twice, each came to an
// end, and nothing is left over.
func TestManagersKilledAtRandom(t *testing.T) {
	const jobs, kills = 8, 12
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	text := `echo run >> "$REFIT_WORKLOAD.runs"; sleep 0.05; sleep 0.05; touch "$REFIT_WORKLOAD.done"`
	for range kills {
		after := time.Duration(random.IntN(80)) * time.Millisecond
		ctx, cancel := context.WithTimeout(t.Context(), after)
		err := host(ctx, t, dir, text, jobs).Run()
		cancel()
		require.Error(t, err, "it was killed")
	}
	b := on(t, dir, func(c *Config) { c.Finished = done(dir) })
	for i := range jobs {
		b.launch(i+1, text)
	}
	require.Eventually(t, func() bool {
		announced := 0
		for _, r := range b.List() {
			if r.Announced {
				announced++
			}
		}
		return announced == jobs
	}, 20*time.Second, 5*time.Millisecond)
	for _, r := range b.List() {
		b.gone(r)
		ran, err := os.ReadFile(filepath.Join(dir, r.Job.Name()+".runs"))
		if r.End.Outcome == workload.Succeeded {
			require.NoError(t, err)
		}
		if outcome, err := done(dir)(t.Context(), r.Job); outcome != "" || err != nil {
			require.NoError(t, err)
			require.Equal(t, outcome, r.End.Outcome, "what was done counts")
		}
		require.LessOrEqual(t, strings.Count(string(ran), "run\n"), 1, r.Job.Name())
	}
}

// done is a Finished that looks for the file that the script makes last.
func done(dir string) func(context.Context, workload.Job) (workload.Outcome, error) {
	return func(_ context.Context, job workload.Job) (workload.Outcome, error) {
		_, err := os.Stat(filepath.Join(dir, job.Name()+".done"))
		if errors.Is(err, fs.ErrNotExist) {
			return "", nil
		}
		return workload.Succeeded, err
	}
}
