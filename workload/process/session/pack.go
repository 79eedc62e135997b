package session

import (
	"errors"
	"fmt"
	"syscall"
)

// process is one row of the process table.
type process struct {
	pid, ppid, sid int
	start          uint64
	zombie         bool
}

// pack follows the members of one session. It remembers those it saw, by start
// time, so one that left the session stays known when its parent dies.
type pack struct {
	id   ID
	seen map[int]uint64
}

// living lists the members that live now.
func (p *pack) living() ([]int, error) {
	if p.id.PID == 0 || p.id.Boot != boot() {
		return nil, nil
	}
	// Who left the session is a member as a descendant of one that is in it.
	if len(p.seen) == 0 && deserted(p.id.PID) {
		return nil, nil
	}
	table, err := processes()
	if err != nil {
		return nil, fmt.Errorf("read the process table: %w", err)
	}
	p.look(table)
	var pids []int
	for _, row := range table {
		if p.knows(row) && !row.zombie {
			pids = append(pids, row.pid)
		}
	}
	return pids, nil
}

// look remembers the members in table: the session and its descendants. The
// number of a session is not given to another process while the session has a
// member, so either the leader is ours or it is gone.
func (p *pack) look(table []process) {
	taken := false
	for _, row := range table {
		taken = taken || row.pid == p.id.PID && row.start != p.id.Start
	}
	for _, row := range table {
		if !taken && row.sid == p.id.PID && row.start >= p.id.Start {
			p.seen[row.pid] = row.start
		}
	}
	parents := map[int]process{}
	for _, row := range table {
		parents[row.pid] = row
	}
	for grown := true; grown; {
		grown = false
		for _, row := range table {
			if parent, ok := parents[row.ppid]; ok && p.knows(parent) && !p.knows(row) {
				p.seen[row.pid], grown = row.start, true
			}
		}
	}
}

// knows tells whether row is a member seen before.
func (p *pack) knows(row process) bool {
	start, ok := p.seen[row.pid]
	return ok && start == row.start
}

// signal sends sig to the living members and returns how many there were.
func (p *pack) signal(sig syscall.Signal) (int, error) {
	pids, err := p.living()
	if err != nil {
		return 0, err
	}
	var errs []error
	for _, pid := range pids {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			errs = append(errs, fmt.Errorf("signal process %d: %w", pid, err))
		}
	}
	return len(pids), errors.Join(errs...)
}
