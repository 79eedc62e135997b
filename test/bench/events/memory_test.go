package events_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/shirou/gopsutil/v4/process"
	"github.com/stretchr/testify/require"

	"refit.dev/platform/host"
	"refit.dev/test/bench/table"
)

// childDir is the variable that makes this binary the child of BenchmarkMemory:
// a platform on that folder.
const childDir = "REFIT_EVENTS_BENCH_DIR"

const (
	remembered = 10_000
	megabyte   = 1e6
)

// memory is what the child says, in bytes.
type memory struct {
	Resident uint64 `json:"resident"`
	Heap     uint64 `json:"heap"`
}

func TestMain(m *testing.M) {
	host.LimitMemory() // as refit up does
	dir := os.Getenv(childDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	used, err := grow(dir)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(used)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// grow takes a platform through its events and answers its memory then, while
// it is still up.
func grow(dir string) (used memory, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	log, err := logTo(dir)
	if err != nil {
		return used, err
	}
	l := newLoad(remembered, func(int) time.Time { return time.Now() })
	p, err := start(ctx, dir, l.heard)
	if err != nil {
		return used, err
	}
	if err := l.send(ctx, p); err != nil {
		return used, err
	}
	recorded, err := p.settle(ctx)
	if err == nil && recorded != 2*remembered {
		err = fmt.Errorf("%d events and verdicts in the journal, sent were %d", recorded, remembered)
	}
	if err != nil {
		return used, err
	}
	if used, err = measureMemory(); err != nil {
		return used, err
	}
	return used, errors.Join(p.close(), log.Close())
}

func measureMemory() (memory, error) {
	self, err := process.NewProcess(int32(os.Getpid()))
	if err != nil {
		return memory{}, fmt.Errorf("find this process: %w", err)
	}
	info, err := self.MemoryInfo()
	if err != nil {
		return memory{}, fmt.Errorf("read the memory of this process: %w", err)
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return memory{Resident: info.RSS, Heap: stats.HeapAlloc}, nil
}

// BenchmarkMemory looks at a process of its own after 10,000 events, each with
// its verdict. It has all of refit up that is Go but the launcher and the
// source, which wait.
func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		var resident, heap []float64
		for range runs {
			used := child(b)
			resident = append(resident, float64(used.Resident)/megabyte)
			heap = append(heap, float64(used.Heap)/megabyte)
		}
		table.Add(b, table.Row{What: "the Go process after 10,000 events, resident", Unit: "MB", Runs: resident, AtMost: 150})
		table.Add(b, table.Row{What: "the Go process after 10,000 events, heap", Unit: "MB", Runs: heap})
	}
}

func child(b *testing.B) (used memory) {
	b.Helper()
	var out bytes.Buffer
	c := exec.CommandContext(b.Context(), os.Args[0])
	c.Env = append(os.Environ(), childDir+"="+b.TempDir())
	c.Stdout, c.Stderr = &out, os.Stderr
	require.NoError(b, c.Run())
	require.NoError(b, json.Unmarshal(out.Bytes(), &used), out.String())
	return used
}
