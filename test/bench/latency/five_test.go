package latency_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/platform/host"
	"refit.dev/test/bench/table"
	"refit.dev/test/clustertest/canned"
	"refit.dev/test/platformtest"
	"refit.dev/workload"
)

// BenchmarkFiveStages measures runs of five stages that do nothing: each is a
// process of its own, the program noop, which reads its spec and writes the
// result that it is given. Everything else is real: the object store, the broker,
// the five functions and their verdicts, the launcher and the journal; MLflow and
// Ray run beside it. A run ends in a rejected model, for a stage that does nothing
// has no model to register, and a rejection needs no MLflow.
func BenchmarkFiveStages(b *testing.B) {
	p := noops(b)
	var started, startedLate, between, betweenLate, whole []float64
	for b.Loop() {
		for round := range rounds {
			var first, gaps, all []float64
			for i := range uploads {
				run := p.five(b, fmt.Sprintf("five/%d/%d.parquet", round, i))
				first = append(first, milliseconds(run.began[0].Sub(run.answered)))
				for i := 1; i < len(run.began); i++ {
					gaps = append(gaps, milliseconds(run.began[i].Sub(run.ended[i-1])))
				}
				all = append(all, run.seconds())
			}
			started, startedLate = append(started, quantile(first, 0.5)), append(startedLate, quantile(first, 0.99))
			between, betweenLate = append(between, quantile(gaps, 0.5)), append(betweenLate, quantile(gaps, 0.99))
			whole = append(whole, quantile(all, 0.5))
		}
	}
	table.Add(b, table.Row{What: "PUT answered → first workload runs, p50", Unit: "ms", Runs: started, AtMost: 20})
	table.Add(b, table.Row{What: "PUT answered → first workload runs, p99", Unit: "ms", Runs: startedLate, AtMost: 100})
	table.Add(b, table.Row{What: "a workload's end → the next one runs, p50", Unit: "ms", Runs: between, AtMost: 20})
	table.Add(b, table.Row{What: "a workload's end → the next one runs, p99", Unit: "ms", Runs: betweenLate, AtMost: 100})
	table.Add(b, table.Row{What: "five no-op stages, each a process, PUT answered → end of the fifth", Unit: "s", Runs: whole, AtMost: 0.3})
}

// BenchmarkOthers runs the five stages, five steps of Metaflow, each a process as
// well, and five tasks in one process of Prefect, in turn.
func BenchmarkOthers(b *testing.B) {
	p := noops(b)
	python := install(b, "test/bench/latency/others/requirements.txt")
	var ours, metaflow, prefect []float64
	for b.Loop() {
		for round := range rounds {
			ours = append(ours, p.five(b, fmt.Sprintf("others/%d.parquet", round)).seconds())
			began := time.Now()
			script(b, python, "metaflow_steps.py", "run")
			metaflow = append(metaflow, time.Since(began).Seconds())
			lines := strings.Fields(script(b, python, "prefect_steps.py"))
			seconds, err := strconv.ParseFloat(lines[len(lines)-1], 64)
			require.NoError(b, err, lines)
			prefect = append(prefect, seconds)
		}
	}
	table.Add(b, table.Row{What: "five no-op stages, each a process", Unit: "s", Runs: ours, Base: metaflow, Against: "Metaflow, each a process"})
	table.Add(b, table.Row{What: "five no-op stages, each a process", Unit: "s", Runs: ours, Base: prefect, Against: "Prefect, in one process that runs"})
}

// install makes a Python environment of what a lock file lists.
func install(b *testing.B, lock string) (python string) {
	b.Helper()
	environment := filepath.Join(b.TempDir(), "venv")
	python = filepath.Join(environment, "bin/python")
	for _, command := range [][]string{
		{filepath.Join(platformtest.Root(), ".venv/bin/python"), "-m", "venv", environment},
		{python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", filepath.Join(platformtest.Root(), lock)},
	} {
		out, err := exec.CommandContext(b.Context(), command[0], command[1:]...).CombinedOutput()
		require.NoError(b, err, "%s: %s", command, out)
	}
	return python
}

// script runs a script of the folder others in an empty home, and returns what it
// writes.
func script(b *testing.B, python, name string, args ...string) string {
	b.Helper()
	path := filepath.Join(platformtest.Root(), "test/bench/latency/others", name)
	command := exec.CommandContext(b.Context(), python, append([]string{path}, args...)...)
	command.Dir = b.TempDir()
	command.Env = append(os.Environ(), "HOME="+command.Dir, "USERNAME=bench")
	var problems strings.Builder
	command.Stderr = &problems
	out, err := command.Output()
	require.NoError(b, err, "%s%s", out, &problems)
	return string(out)
}

// noops is a platform whose stages do nothing.
func noops(b *testing.B) *site {
	b.Helper()
	program := filepath.Join(b.TempDir(), "noop")
	build := exec.CommandContext(b.Context(), "go", "build", "-o", program, "./test/bench/latency/noop")
	build.Dir = platformtest.Root()
	out, err := build.CombinedOutput()
	require.NoError(b, err, string(out))
	return platform(b, func(c *host.Config) {
		c.Command = func(job workload.Job) ([]string, error) {
			result, err := json.Marshal(nothing(job))
			return []string{program, job.Spec, string(result)}, err
		}
	})
}

// nothing is the result of a job, as its stage's function accepts it. It names
// artifacts that nobody reads.
func nothing(job workload.Job) workload.Result {
	now := time.Now().UTC()
	r := workload.Result{
		Run: job.Run, Stage: job.Stage, Attempt: job.Attempt, Outcome: workload.Succeeded,
		Figures: canned.Figures(job.Stage, events.Defaults()), Artifacts: events.Artifacts{}, StartedAt: now, EndedAt: now,
	}
	for _, name := range canned.Artifacts(job.Stage) {
		r.Artifacts[name] = canned.Artifact(strings.TrimSuffix(job.Spec, "spec.json")+name, nil)
	}
	return r
}

// chain is when the upload of a run was answered, and when each of its workloads
// began and ended by its own clock.
type chain struct {
	answered     time.Time
	began, ended []time.Time
}

// seconds are those from the answer to the end of the last workload.
func (c chain) seconds() float64 { return c.ended[len(c.ended)-1].Sub(c.answered).Seconds() }

// five uploads an object and follows its run of workloads that do nothing.
func (s *site) five(b *testing.B, key string) chain {
	b.Helper()
	answered, run := s.put(b, key, []byte("nothing"))
	s.ends(b, run, events.ModelRejected)
	found := chain{answered: answered}
	for _, stage := range events.Stages() {
		log := s.log(b, run, stage)
		var from, to int64
		_, err := fmt.Sscanf(log, "began %d\nended %d\n", &from, &to)
		require.NoError(b, err, log)
		found.began, found.ended = append(found.began, time.Unix(0, from)), append(found.ended, time.Unix(0, to))
	}
	return found
}
