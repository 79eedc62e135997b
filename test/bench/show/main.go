// Command show prints the rows of a run of the benchmarks as one Markdown table
// below a description of the machine. It reads the rows from standard input.
package main

import (
	"fmt"
	"io"
	"os"
	"runtime"

	pretty "github.com/jedib0t/go-pretty/v6/table"
	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/host"
	"github.com/shirou/gopsutil/v4/load"
	"github.com/shirou/gopsutil/v4/mem"

	"refit.dev/test/bench/table"
)

func main() {
	if err := show(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func show(r io.Reader, w io.Writer) error {
	rows, err := table.Read(r)
	if err != nil {
		return err
	}
	machine, err := machine()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n\n%s\n", machine, render(rows))
	return err
}

// render writes one line a row.
func render(rows []table.Row) string {
	t := pretty.NewWriter()
	t.AppendHeader(pretty.Row{"what", "median", "aim", "ratio", "runs", ""})
	for _, r := range rows {
		ratio := ""
		if r.Ratio() > 0 {
			ratio = fmt.Sprintf("%.2f", r.Ratio())
		}
		t.AppendRow(pretty.Row{r.What, r.Measured(), r.Aim(), ratio, len(r.Runs), r.Verdict()})
	}
	return t.RenderMarkdown()
}

// machine says in one line what the figures were measured on, and what else it
// was doing.
func machine() (string, error) {
	processors, err := cpu.Info()
	if err != nil {
		return "", fmt.Errorf("read the processor: %w", err)
	}
	memory, err := mem.VirtualMemory()
	if err != nil {
		return "", fmt.Errorf("read the memory: %w", err)
	}
	system, err := host.Info()
	if err != nil {
		return "", fmt.Errorf("read the system: %w", err)
	}
	busy, err := load.Avg()
	if err != nil {
		return "", fmt.Errorf("read the load: %w", err)
	}
	return fmt.Sprintf("%d × %s, %d GiB of memory, %s %s, %s; load %.1f afterwards", runtime.NumCPU(), processors[0].ModelName,
		memory.Total>>30, system.Platform, system.PlatformVersion, runtime.Version(), busy.Load15), nil
}
