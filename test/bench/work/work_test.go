// Package work_test measures the work of a run: the whole of it beside one plain
// process, and its parts beside what others would write.
package work_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refit.dev/platform/host"
	"refit.dev/platform/journal"
	"refit.dev/test/bench/table"
	"refit.dev/test/platformtest"
)

const (
	runs = 3
	// many is the upload whose memory has an aim, and the sizes that show how
	// time grows with the mails.
	few, several, many = 6000, 30_000, 60_000
	f1Apart            = 0.01
)

// BenchmarkRun runs the default data on a platform that starts for it, again on
// the same platform, and as one plain process, in turn.
func BenchmarkRun(b *testing.B) {
	for b.Loop() {
		folder := b.TempDir()
		plain(b, folder) // makes MLflow's store there, as the platform has its own
		var alone, cold, warm, gaps []float64
		for range runs {
			one := plain(b, folder)
			began := time.Now()
			p, err := platformtest.Start(b.TempDir(), func(*host.Config) {})
			require.NoError(b, err)
			uploaded := p.Upload(b, "bench/all.parquet", data(), map[string]string{"refit-model-name": "cold"})
			first := registered(b, p, uploaded.ID())
			cold = append(cold, time.Since(began).Seconds())
			began = time.Now()
			// Under a name of its own there is no champion to compare with, as plain.py has none.
			second := registered(b, p, p.Request(b, map[string]any{"entity_data_path": "bench/all.parquet", "model_name": "warm"}))
			warm = append(warm, time.Since(began).Seconds())
			alone, gaps = append(alone, one.Seconds), append(gaps, gap(second))
			require.InDelta(b, one.F1, first.Model.F1, f1Apart)
			require.InDelta(b, one.F1, second.Model.F1, f1Apart)
			logStages(b, second)
			require.NoError(b, p.Close())
		}
		table.Add(b, table.Row{What: "whole default run, warm platform", Unit: "s", Runs: warm, Base: alone, Against: "plain.py", AtMost: 1})
		table.Add(b, table.Row{What: "whole default run, from the platform's start", Unit: "s", Runs: cold, Base: alone, Against: "plain.py", AtMost: 1.5})
		table.Add(b, table.Row{What: "whole default run, warm: outside of its workloads", Unit: "s", Runs: gaps, AtMost: 2})
	}
}

// BenchmarkStages runs prepare and features on up to 60,000 mails.
func BenchmarkStages(b *testing.B) {
	for b.Loop() {
		folder := b.TempDir()
		rate := run[struct {
			Ours, Library []float64
			SameTexts     float64 `json:"same_texts"`
			SameWeights   float64 `json:"same_weights"`
		}](b, "work/rate.py", data(), strconv.Itoa(runs))
		require.Greater(b, rate.SameTexts, 0.97, "bytes that are no text are read in other ways")
		require.InDelta(b, 1, rate.SameWeights, 0)
		table.Add(b, table.Row{What: "raw mail to TF-IDF weights, our code", Unit: "mails/s", Runs: rate.Ours, Base: rate.Library, Against: "email + scikit-learn", AtLeast: 3})

		files := map[int]string{}
		for _, rows := range []int{few, several, many} {
			files[rows] = filepath.Join(folder, strconv.Itoa(rows)+".parquet")
			python(b, "work/repeat.py", data(), files[rows], strconv.Itoa(rows))
		}
		each := map[int][]float64{}
		var prepared, featured []float64
		for turn := range runs {
			for _, rows := range []int{few, several, many} {
				took := run[stages](b, "work/stages.py", files[rows], filepath.Join(folder, strconv.Itoa(turn), strconv.Itoa(rows)))
				each[rows] = append(each[rows], took.Prepare.Seconds+took.Features.Seconds)
				if rows == many {
					prepared, featured = append(prepared, took.Prepare.MiB), append(featured, took.Features.MiB)
				}
			}
		}
		table.Add(b, table.Row{What: "prepare of 60,000 mails, peak resident", Unit: "MiB", Runs: prepared, AtMost: 1024})
		table.Add(b, table.Row{What: "features of 60,000 mails, peak resident", Unit: "MiB", Runs: featured, AtMost: 1024})
		table.Add(b, table.Row{What: "prepare + features, 30,000 mails more", Unit: "s", Runs: more(each[many], each[several]), Base: scaled(more(each[several], each[few]), 30.0/24), Against: "30,000 mails at the rate of those from 6,000 to 30,000", AtMost: 1.1})
		table.Add(b, table.Row{What: "prepare + features of 60,000 mails", Unit: "mails/s", Runs: perSecond(many, each[many]), Base: rate.Library, Against: "email + scikit-learn", AtLeast: 3})
	}
}

// BenchmarkTune searches with Ray Tune and with a sequential loop, in turn.
func BenchmarkTune(b *testing.B) {
	for b.Loop() {
		found := run[struct {
			Tune, Loop []float64
			TuneF1     []float64 `json:"tune_f1"`
			LoopF1     []float64 `json:"loop_f1"`
		}](b, "work/tune.py", b.TempDir(), data(), strconv.Itoa(runs))
		b.Logf("F1 on validation: Tune %v, loop %v", found.TuneF1, found.LoopF1)
		table.Add(b, table.Row{What: "20 trials by Ray Tune, warm", Unit: "s", Runs: found.Tune, Base: found.Loop, Against: "sequential Optuna loop", AtMost: 0.8})
	}
}

// stages is what stages.py says.
type stages struct {
	Prepare, Features struct {
		Seconds float64
		MiB     float64 `json:"rss_mib"`
	}
}

// alone is what plain.py says, and how long its process took.
type alone struct {
	F1      float64
	Seconds float64 `json:"-"`
}

func plain(b *testing.B, folder string) alone {
	b.Helper()
	began := time.Now()
	found := run[alone](b, "plain.py", folder, data())
	found.Seconds = time.Since(began).Seconds()
	return found
}

// registered follows the run that the event with that id starts.
func registered(b *testing.B, p *platformtest.Platform, id string) journal.RunView {
	b.Helper()
	found := p.Ended(b, p.Started(b, id))
	require.Equal(b, journal.Registered, found.State, found.Reason)
	return found
}

// gap is the time of a run in which none of its workloads ran.
func gap(run journal.RunView) float64 {
	seconds := run.EndedAt.Sub(run.StartedAt).Seconds()
	for _, s := range run.Stages {
		seconds -= s.Seconds
	}
	return seconds
}

func logStages(b *testing.B, run journal.RunView) {
	b.Helper()
	for _, s := range run.Stages {
		b.Logf("warm %s: %.1f s", s.Stage, s.Seconds)
	}
}

// run runs a script and reads the JSON that it writes.
func run[T any](b *testing.B, script string, args ...string) T {
	b.Helper()
	var found T
	require.NoError(b, json.Unmarshal(python(b, script, args...), &found))
	return found
}

// python runs a script below test/bench and returns what it writes; its home
// is a folder of its own.
func python(b *testing.B, script string, args ...string) []byte {
	b.Helper()
	command := exec.CommandContext(b.Context(), filepath.Join(platformtest.Root(), ".venv/bin/python"), append([]string{filepath.Join(platformtest.Root(), "test/bench", script)}, args...)...)
	command.Env = append(os.Environ(), "HOME="+b.TempDir())
	command.Stderr = os.Stderr
	out, err := command.Output()
	require.NoError(b, err, script)
	return out
}

func data() string {
	return filepath.Join(platformtest.Root(), "datasets/processed/emails/all_emails.parquet")
}

// more is how much longer each run took than the smaller one beside it.
func more(large, small []float64) []float64 {
	found := make([]float64, len(large))
	for i := range large {
		found[i] = large[i] - small[i]
	}
	return found
}

func scaled(values []float64, by float64) []float64 {
	found := make([]float64, len(values))
	for i, v := range values {
		found[i] = v * by
	}
	return found
}

func perSecond(rows float64, seconds []float64) []float64 {
	found := make([]float64, len(seconds))
	for i, s := range seconds {
		found[i] = rows / s
	}
	return found
}
