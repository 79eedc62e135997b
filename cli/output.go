package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// remarkf tells something on standard error.
func (a *App) remarkf(format string, args ...any) {
	// That nobody reads remarks is no reason to stop.
	_, _ = fmt.Fprintf(a.Err, format+"\n", args...)
}

// printf writes data to standard output. That the reader went away, as head
// does, is no reason to stop a run.
func (a *App) printf(format string, args ...any) {
	_, _ = fmt.Fprintf(a.Out, format, args...)
}

// printJSON writes one JSON document, indented, to standard output.
func (a *App) printJSON(value any) error {
	encoder := json.NewEncoder(a.Out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// printLine writes one JSON document on one line to standard output.
func (a *App) printLine(value any) error {
	encoder := json.NewEncoder(a.Out)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// grid is a table: aligned with a header on a terminal, tab-separated lines
// without one elsewhere.
type grid struct {
	header []string
	rows   [][]string
	// numbers are the columns to align at the right.
	numbers []int
}

func (g *grid) add(cells ...string) { g.rows = append(g.rows, cells) }

func (g *grid) print(w io.Writer, terminal bool) {
	if !terminal {
		for _, row := range g.rows {
			for i, cell := range row {
				row[i] = strings.NewReplacer("\t", " ", "\n", " ").Replace(cell)
			}
			_, _ = fmt.Fprintln(w, strings.Join(row, "\t"))
		}
		return
	}
	t := table.NewWriter()
	t.SetOutputMirror(w)
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	t.SetStyle(style)
	t.SuppressTrailingSpaces()
	t.AppendHeader(row(g.header))
	var columns []table.ColumnConfig
	for _, n := range g.numbers {
		columns = append(columns, table.ColumnConfig{Number: n, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.SetColumnConfigs(columns)
	for _, r := range g.rows {
		t.AppendRow(row(r))
	}
	t.Render()
}

func row(cells []string) table.Row {
	r := make(table.Row, len(cells))
	for i, c := range cells {
		r[i] = c
	}
	return r
}

// pairs prints names with values: aligned on a terminal, tab-separated
// elsewhere.
func (a *App) pairs(list [][2]string) {
	width := 0
	for _, p := range list {
		width = max(width, len(p[0]))
	}
	for _, p := range list {
		if a.OutTerminal {
			a.printf("%-*s  %s\n", width, p[0], p[1])
		} else {
			a.printf("%s\t%s\n", p[0], p[1])
		}
	}
}

// moment writes a time: for people in their zone, else RFC 3339.
func (a *App) moment(t time.Time) string {
	switch {
	case t.IsZero():
		return ""
	case a.OutTerminal:
		return a.local(t).Format("2006-01-02 15:04:05")
	default:
		return t.UTC().Format(time.RFC3339)
	}
}

// local is t in the zone of the people who look at it.
func (a *App) local(t time.Time) time.Time {
	if a.Location == nil {
		return t.Local() //nolint:gosmopolitan // people read their own clock
	}
	return t.In(a.Location)
}

// took writes a duration: for people in minutes and seconds, else in seconds.
func (a *App) took(d time.Duration) string {
	if !a.OutTerminal {
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64)
	}
	return clock(d)
}

// clock is a duration as 1:02 or 1:02:03.
func clock(d time.Duration) string {
	s := int(d.Round(time.Second).Seconds())
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

// figure writes a figure of any type: rates with four places.
func figure(value any) string {
	switch v := value.(type) {
	case nil:
		return "-"
	case float64:
		if v == float64(int64(v)) {
			return strconv.FormatInt(int64(v), 10)
		}
		return strconv.FormatFloat(v, 'f', 4, 64)
	case string:
		return v
	default:
		b, err := json.Marshal(v)
		if err != nil {
			return fmt.Sprint(v)
		}
		return string(b)
	}
}
