package session

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// boot identifies the running boot. Start times count from it.
var boot = sync.OnceValue(func() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(b))
})

// processes reads the process table. Processes that end meanwhile are left out.
func processes() ([]process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var table []process
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		p, err := lookup(pid)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue
		}
		if err != nil {
			return nil, err
		}
		table = append(table, p)
	}
	return table, nil
}

// lookup reads one row of the process table.
func lookup(pid int) (process, error) {
	b, err := os.ReadFile(procFile(pid, "stat"))
	if err != nil {
		return process{}, err
	}
	return parseStat(pid, string(b))
}

// parseStat reads /proc/<pid>/stat, see proc_pid_stat(5). The second field, the
// name in parentheses, may itself hold spaces and parentheses.
func parseStat(pid int, stat string) (process, error) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 {
		return process{}, fmt.Errorf("process %d: stat has %d fields, want 20 or more", pid, len(fields))
	}
	ppid, err1 := strconv.Atoi(fields[1])
	sid, err2 := strconv.Atoi(fields[3])
	start, err3 := strconv.ParseUint(fields[19], 10, 64)
	if err := errors.Join(err1, err2, err3); err != nil {
		return process{}, fmt.Errorf("process %d: read stat: %w", pid, err)
	}
	zombie := fields[0] == "Z" || fields[0] == "X"
	return process{pid: pid, ppid: ppid, sid: sid, start: start, zombie: zombie}, nil
}

// environ is the environment that a process was started with, nil if it is not
// ours to read.
func environ(pid int) []string {
	b, err := os.ReadFile(procFile(pid, "environ"))
	if err != nil {
		return nil
	}
	return strings.Split(string(b), "\x00")
}

func procFile(pid int, name string) string {
	return filepath.Join("/proc", strconv.Itoa(pid), name)
}
