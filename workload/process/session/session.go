// Package session keeps hold of operating-system processes across restarts of
// the program that started them.
//
// A process is started as the leader of a session of its own. So a signal from
// the terminal does not reach it, and all its descendants can be found and
// ended later, whatever process groups they made, even by another process. An
// [ID] can be written to a file: it names the process beyond the reuse of its
// number.
package session

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"syscall"
	"time"
)

// poll is how often Wait and End look at the process table.
const poll = 20 * time.Millisecond

// ID names one session for ever: the leader's process id, its start time and
// the boot that these belong to. The zero ID names none.
type ID struct {
	PID int `json:"pid"`
	// Start is the leader's start time in the unit of the operating system.
	Start uint64 `json:"start"`
	// Boot tells boots of the machine apart.
	Boot string `json:"boot"`
}

// Start starts cmd as the leader of a new session. The caller must still call
// cmd.Wait.
func Start(cmd *exec.Cmd) (ID, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setsid = true
	if err := cmd.Start(); err != nil {
		return ID{}, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	// Not even a process that is over already has left the table: nobody has
	// waited for it yet.
	id, err := Of(cmd.Process.Pid)
	if err != nil {
		return ID{}, errors.Join(err, syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL), cmd.Wait())
	}
	return id, nil
}

// Of returns the session that process pid leads. The caller knows that it leads
// one, and that it is there: somebody has yet to wait for it.
func Of(pid int) (ID, error) {
	p, err := lookup(pid)
	if err != nil {
		return ID{}, fmt.Errorf("look up the start of process %d: %w", pid, err)
	}
	return ID{PID: p.pid, Start: p.start, Boot: boot()}, nil
}

// Find returns the session of the process that was started with the environment
// variable assignment env ("NAME=value"), the zero ID if there is none. Only
// processes that lead a session are considered.
func Find(env string) (ID, error) {
	table, err := processes()
	if err != nil {
		return ID{}, fmt.Errorf("read the process table: %w", err)
	}
	for _, p := range table {
		if p.sid == p.pid && !p.zombie && slices.Contains(environ(p.pid), env) {
			return ID{PID: p.pid, Start: p.start, Boot: boot()}, nil
		}
	}
	return ID{}, nil
}

// Alive tells whether the leader lives.
func (id ID) Alive() bool {
	if id.PID == 0 || id.Boot != boot() {
		return false
	}
	p, err := lookup(id.PID)
	return err == nil && p.start == id.Start && !p.zombie
}

// Wait returns when the leader is gone or ctx is done.
func (id ID) Wait(ctx context.Context) error {
	return until(ctx, func() (bool, error) { return !id.Alive(), nil })
}

// Members lists the living processes of the session and all their descendants,
// in no order, also after the death of the leader.
func (id ID) Members() ([]int, error) {
	p := pack{id: id, seen: map[int]uint64{}}
	return p.living()
}

// Signal sends sig to every member. To have none is no error.
func (id ID) Signal(sig syscall.Signal) error {
	p := pack{id: id, seen: map[int]uint64{}}
	_, err := p.signal(sig)
	return err
}

// End asks every member to end and kills those that live after grace, or at
// once if grace is 0 or ctx is done. It returns when none is left.
func (id ID) End(ctx context.Context, grace time.Duration) error {
	p := pack{id: id, seen: map[int]uint64{}}
	if grace > 0 && ctx.Err() == nil {
		if asked, err := p.signal(syscall.SIGTERM); err != nil || asked == 0 {
			return err
		}
		polite, cancel := context.WithTimeout(ctx, grace)
		defer cancel()
		err := until(polite, func() (bool, error) {
			living, err := p.living()
			return len(living) == 0, err
		})
		if err == nil {
			return nil
		}
	}
	// A member may fork between the look and the blow, so strike until none is
	// left. Nothing survives SIGKILL but a process stuck in the kernel.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return until(last, func() (bool, error) {
		struck, err := p.signal(syscall.SIGKILL)
		return struck == 0, err
	})
}

// until calls done, at once and then every poll, until it says yes or fails, or
// ctx is done.
func until(ctx context.Context, done func() (bool, error)) error {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
