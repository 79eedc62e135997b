package session

import (
	"fmt"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// zombie is SZOMB of sys/proc.h.
const zombie = 5

// boot identifies the running boot.
var boot = sync.OnceValue(func() string {
	id, err := unix.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return "unknown"
	}
	return id
})

// processes reads the process table.
func processes() ([]process, error) {
	rows, err := unix.SysctlKinfoProcSlice("kern.proc.all")
	if err != nil {
		return nil, fmt.Errorf("kern.proc.all: %w", err)
	}
	table := make([]process, 0, len(rows))
	for i := range rows {
		table = append(table, row(&rows[i]))
	}
	return table, nil
}

// lookup reads one row of the process table.
func lookup(pid int) (process, error) {
	p, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		return process{}, fmt.Errorf("kern.proc.pid: %w", err)
	}
	if int(p.Proc.P_pid) != pid {
		return process{}, unix.ESRCH
	}
	return row(p), nil
}

// row converts what the kernel says. The start time is in microseconds since
// 1970. A process that is gone has no session.
func row(p *unix.KinfoProc) process {
	pid := int(p.Proc.P_pid)
	sid, err := unix.Getsid(pid)
	if err != nil {
		sid = -1
	}
	start := p.Proc.P_starttime
	return process{
		pid: pid, ppid: int(p.Eproc.Ppid), sid: sid,
		start:  uint64(start.Sec)*1_000_000 + uint64(start.Usec),
		zombie: p.Proc.P_stat == zombie,
	}
}

// environ is the environment that a process was started with, preceded by its
// arguments, nil if it is not ours to read.
func environ(pid int) []string {
	b, err := unix.SysctlRaw("kern.procargs2", pid)
	if err != nil {
		return nil
	}
	return strings.Split(string(b), "\x00")
}

// deserted would tell that no process is in the session: here the process table
// is as quick.
func deserted(int) bool { return false }
