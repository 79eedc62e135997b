package table_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"refit.dev/test/bench/table"
)

func TestAFigureStandsBesideItsAim(t *testing.T) {
	tests := map[string]struct {
		row           table.Row
		measured, aim string
		ratio         float64
		verdict       string
	}{
		"at most": {
			table.Row{Unit: "ms", Runs: []float64{30, 10, 19}, AtMost: 20}, "19 ms", "≤ 20 ms", 0.95, "met",
		},
		"at most, missed": {
			table.Row{Unit: "ms", Runs: []float64{30, 40, 19}, AtMost: 20}, "30 ms", "≤ 20 ms", 1.5, "missed",
		},
		"at least": {
			table.Row{Unit: "events/s", Runs: []float64{5100, 4900, 5200, 5000}, AtLeast: 5000}, "5050 events/s", "≥ 5000 events/s", 1.01, "met",
		},
		"run by run against a base": {
			table.Row{Unit: "s", Runs: []float64{10, 30, 20}, Base: []float64{10, 20, 40}, Against: "plain.py", AtMost: 1},
			"20 s against 20 s of plain.py", "≤ 1 ×", 1, "met",
		},
		"somebody else's": {
			table.Row{Unit: "s", Runs: []float64{1, 2, 3}}, "2 s", "", 0, "",
		},
		"below a base": {
			table.Row{Unit: "mails/s", Runs: []float64{10, 30, 20}, Base: []float64{5, 10, 10}, Against: "scikit-learn", AtLeast: 3},
			"20 mails/s against 10 mails/s of scikit-learn", "≥ 3 ×", 2, "missed",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, test.measured, test.row.Measured())
			require.Equal(t, test.aim, test.row.Aim())
			require.InDelta(t, test.ratio, test.row.Ratio(), 0.001)
			require.Equal(t, test.verdict, test.row.Verdict())
		})
	}
}

func TestRowsAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows")
	t.Setenv(table.File, path)
	row := table.Row{What: "a thing", Unit: "s", Runs: []float64{1, 2, 3}, AtMost: 4}
	table.Add(t, row)
	table.Add(t, row)
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	rows, err := table.Read(file)
	require.NoError(t, err)
	require.Equal(t, []table.Row{row, row}, rows)
}

// failing is a testing.TB that remembers its failure.
type failing struct {
	testing.TB
	failed bool
}

func (f *failing) Helper()               {}
func (f *failing) Fatalf(string, ...any) { f.failed = true; panic(f) }

func TestRowsThatSayNothingFail(t *testing.T) {
	for name, row := range map[string]table.Row{
		"two runs":          {Unit: "s", Runs: []float64{1, 2}, AtMost: 4},
		"a missing pair":    {Unit: "s", Runs: []float64{1, 2, 3}, Base: []float64{1, 2}, AtMost: 4},
		"a zero":            {Unit: "s", Runs: []float64{1, 0, 3}, AtMost: 4},
		"two aims":          {Unit: "s", Runs: []float64{1, 2, 3}, AtMost: 4, AtLeast: 1},
		"a base never done": {Unit: "s", Runs: []float64{1, 2, 3}, Base: []float64{1, 2, 0}, AtMost: 4},
	} {
		t.Run(name, func(t *testing.T) {
			f := &failing{TB: t}
			require.Panics(t, func() { table.Add(f, row) })
			require.True(t, f.failed)
		})
	}
}
