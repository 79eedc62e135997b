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

	"golang.org/x/sys/unix"
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
	pids, err := numbers()
	if err != nil {
		return nil, err
	}
	table := make([]process, 0, len(pids))
	for _, pid := range pids {
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

// numbers lists the ids of all processes.
func numbers() ([]int, error) {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer proc.Close() //nolint:errcheck // it is only read
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// deserted tells that no process is in the session, which takes a hundredth of
// the time that the process table takes.
func deserted(sid int) bool {
	pids, err := numbers()
	if err != nil {
		return false
	}
	for _, pid := range pids {
		if of, err := unix.Getsid(pid); of == sid || err != nil && !errors.Is(err, unix.ESRCH) {
			return false
		}
	}
	return true
}

// lookup reads one row of the process table. It calls the system directly:
// os.ReadFile takes twice as many calls.
func lookup(pid int) (process, error) {
	fd, err := syscall.Open(procFile(pid, "stat"), syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return process{}, fmt.Errorf("look at process %d: %w", pid, err)
	}
	defer syscall.Close(fd) //nolint:errcheck // it is only read
	var line [1024]byte
	n, err := syscall.Read(fd, line[:])
	if err != nil {
		return process{}, fmt.Errorf("look at process %d: %w", pid, err)
	}
	return parseStat(pid, string(line[:n]))
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
