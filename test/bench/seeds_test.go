// Package bench_test measures. Its figures belong into docs/benchmarks.md.
package bench_test

import (
	"maps"
	"math"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/platform/host"
	"refit.dev/platform/journal"
	"refit.dev/test/platformtest"
)

var shared *platformtest.Platform

func TestMain(m *testing.M) {
	platformtest.Main(m, &shared, func(*host.Config) {})
}

// studentT is the 97.5 % point of Student's t with four degrees of freedom.
const studentT = 2.776

// BenchmarkSeeds runs the default data with five seeds, and with the split by
// time. The mean F1 of the seeds must reach 0.96.
func BenchmarkSeeds(b *testing.B) {
	for b.Loop() {
		upload(b)
		var f1 []float64
		for seed := 1; seed <= 5; seed++ {
			run := measure(b, map[string]any{"seed": seed})
			f1 = append(f1, run.Model.F1)
			b.Logf("seed %d: F1 %.4f, %v", seed, run.Model.F1, figures(run))
		}
		mean, half := interval(f1)
		b.ReportMetric(mean, "F1")
		b.ReportMetric(mean-half, "F1-low")
		b.ReportMetric(mean+half, "F1-high")

		byTime := measure(b, map[string]any{"split": "time", "f1_threshold": 0})
		b.Logf("split by time: F1 %.4f, %v", byTime.Model.F1, figures(byTime))
		b.ReportMetric(byTime.Model.F1, "F1-time")
		require.GreaterOrEqual(b, mean, 0.96)
	}
}

// BenchmarkRepeat runs the default data twice with one seed: the baseline must
// be the same bit for bit, the tuned F1 the same within 0.01.
func BenchmarkRepeat(b *testing.B) {
	for b.Loop() {
		upload(b)
		one, two := measure(b, nil), measure(b, nil)
		require.Equal(b, one.Stage(events.Train).Artifacts["baseline"].Digest, two.Stage(events.Train).Artifacts["baseline"].Digest)
		for _, s := range []events.Stage{events.Tune, events.Register} {
			require.InDelta(b, one.Stage(s).Figures["f1"], two.Stage(s).Figures["f1"], 0.01, s)
		}
		b.ReportMetric(one.Model.F1, "F1-one")
		b.ReportMetric(two.Model.F1, "F1-two")
	}
}

// upload puts the default data where measure finds it.
func upload(b *testing.B) {
	b.Helper()
	shared.Upload(b, "bench/all.parquet", filepath.Join(platformtest.Root(), "datasets/processed/emails/all_emails.parquet"), map[string]string{
		"refit-model-name": "upload", "refit-num-hpo-trials": "1",
	})
}

// measure runs the default data with some parameters changed.
func measure(b *testing.B, values map[string]any) journal.RunView {
	b.Helper()
	data := map[string]any{"entity_data_path": "bench/all.parquet", "model_name": "bench"}
	maps.Copy(data, values)
	run := shared.Ended(b, shared.Started(b, shared.Request(b, data)))
	require.Equal(b, journal.Registered, run.State, run.Reason)
	return run
}

// interval is the mean and half the width of its 95 % interval.
func interval(values []float64) (mean, half float64) {
	n := float64(len(values))
	for _, v := range values {
		mean += v / n
	}
	var variance float64
	for _, v := range values {
		variance += (v - mean) * (v - mean) / (n - 1)
	}
	return mean, studentT * math.Sqrt(variance/n)
}

// figures picks what stands beside F1 in docs/benchmarks.md.
func figures(run journal.RunView) map[string]any {
	all := run.Stage(events.Register).Figures
	picked := map[string]any{}
	for _, name := range []string{"f1_low", "f1_high", "precision", "recall", "auc", "f1_seen_domains", "f1_unseen_domains", "rows", "winner", "other_f1"} {
		picked[name] = all[name]
	}
	return picked
}
