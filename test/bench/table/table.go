// Package table gathers what benchmarks measured into one table, each figure as
// the median of its runs beside its aim and the ratio of the two.
package table

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"testing"
)

// File is the environment variable that names the file of rows, one JSON
// document a line. Without it rows are logged and not kept.
const File = "REFIT_BENCH_TABLE"

// fewest is the least number of runs that has a median worth the name.
const fewest = 3

// Row is one figure of the table.
type Row struct {
	// What was measured, in words.
	What string `json:"what"`
	// Unit of Runs, Base and, without Base, of the aim.
	Unit string `json:"unit"`
	// Runs are the figures of the single runs, three or more.
	Runs []float64 `json:"runs"`
	// Base are the same runs of what the figure is held against, interleaved
	// with Runs and in the same unit. Without it the aim is absolute.
	Base []float64 `json:"base,omitempty"`
	// Against says what Base is.
	Against string `json:"against,omitempty"`
	// AtMost is the aim of the median, or, with Base, of the median ratio. A
	// figure that is others' has no aim.
	AtMost float64 `json:"atMost,omitempty"`
	// AtLeast is the same for figures that should be large.
	AtLeast float64 `json:"atLeast,omitempty"`
}

// Add puts a row into the table of this run of the benchmarks. A row that says
// nothing fails the benchmark; a figure that misses its aim does not.
func Add(tb testing.TB, row Row) {
	tb.Helper()
	if err := row.validate(); err != nil {
		tb.Fatalf("row %q: %v", row.What, err)
	}
	tb.Logf("%s: %s, aim %s, ratio %s, runs %v", row.What, row.Measured(), row.Aim(), format(row.Ratio()), row.Runs)
	if err := keep(os.Getenv(File), row); err != nil {
		tb.Fatalf("keep row %q: %v", row.What, err)
	}
}

func (r Row) validate() error {
	switch {
	case len(r.Runs) < fewest:
		return fmt.Errorf("%d runs: a median needs %d", len(r.Runs), fewest)
	case r.Base != nil && len(r.Base) != len(r.Runs):
		return fmt.Errorf("%d runs beside %d of the base: they are compared in pairs", len(r.Runs), len(r.Base))
	case slices.ContainsFunc(slices.Concat(r.Runs, r.Base), unmeasured):
		return fmt.Errorf("runs %v, base %v: a figure is above zero", r.Runs, r.Base)
	case r.AtMost > 0 && r.AtLeast > 0:
		return errors.New("one of AtMost and AtLeast is the aim")
	}
	return nil
}

func unmeasured(v float64) bool { return !(v > 0) || math.IsInf(v, 0) }

// Median is the median of the runs.
func (r Row) Median() float64 { return median(r.Runs) }

// Ratio is the median ratio of the runs to their base, or of the median to the
// aim where there is no base; 0 if there is neither.
func (r Row) Ratio() float64 {
	if r.Base == nil && !r.aimed() {
		return 0
	}
	if r.Base == nil {
		return r.Median() / max(r.AtMost, r.AtLeast)
	}
	ratios := make([]float64, len(r.Runs))
	for i := range r.Runs {
		ratios[i] = r.Runs[i] / r.Base[i]
	}
	return median(ratios)
}

func (r Row) aimed() bool { return r.AtMost > 0 || r.AtLeast > 0 }

// Verdict is "met" or "missed", and nothing without an aim.
func (r Row) Verdict() string {
	value := r.Median()
	if r.Base != nil {
		value = r.Ratio()
	}
	switch {
	case !r.aimed():
		return ""
	case r.AtMost > 0 && value > r.AtMost, value < r.AtLeast:
		return "missed"
	}
	return "met"
}

// Measured is the median in its unit, beside that of the base.
func (r Row) Measured() string {
	text := format(r.Median()) + " " + r.Unit
	if r.Base != nil {
		text += fmt.Sprintf(" against %s %s of %s", format(median(r.Base)), r.Unit, r.Against)
	}
	return text
}

// Aim is the aim in words, nothing if there is none.
func (r Row) Aim() string {
	if !r.aimed() {
		return ""
	}
	sign, value := "≤", r.AtMost
	if r.AtLeast > 0 {
		sign, value = "≥", r.AtLeast
	}
	if r.Base != nil {
		return fmt.Sprintf("%s %s ×", sign, format(value))
	}
	return fmt.Sprintf("%s %s %s", sign, format(value), r.Unit)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// format writes three significant digits, and all digits of whole thousands.
func format(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// keep appends the row to the file, if there is one.
func keep(path string, row Row) error {
	if path == "" {
		return nil
	}
	line, err := json.Marshal(row)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600) //nolint:gosec // who runs the benchmarks names the file
	if err != nil {
		return err
	}
	_, err = file.Write(append(line, '\n'))
	return errors.Join(err, file.Close())
}

// Read returns the rows that Add kept, in their order.
func Read(r io.Reader) ([]Row, error) {
	var rows []Row
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		var row Row
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			return nil, fmt.Errorf("read row %d: %w", len(rows)+1, err)
		}
		rows = append(rows, row)
	}
	return rows, lines.Err()
}
