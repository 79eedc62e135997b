package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"

	"refit.dev/workload/process/session"
)

// tailBytes is how much of the log a message about a death quotes.
const tailBytes = 4 << 10

// errUnseen stands for the exit status that only the parent learns.
var errUnseen = errors.New("it ended, nobody saw its exit status")

// program is one process of a service.
type program struct {
	cfg    Config
	record record
	// exited gets the process's exit status.
	exited chan error
	// logged is the size of the log when the process was started.
	logged int64
}

// adopt is the program of an earlier Start, alive or not.
func adopt(cfg Config, r record) *program {
	p := &program{cfg: cfg, record: r, exited: make(chan error, 1)}
	go func() {
		_ = r.Session.Wait(context.Background())
		p.exited <- errUnseen
	}()
	return p
}

// spawn starts the program. The record is there before the process, so that no
// crash makes it forgotten.
func spawn(cfg Config) (*program, error) {
	scratch, err := os.MkdirTemp(cfg.ScratchRoot, "refit-"+cfg.Name+"-")
	if err != nil {
		return nil, fmt.Errorf("make the scratch folder of %s: %w", cfg.Name, err)
	}
	p := &program{
		cfg: cfg, record: record{Scratch: scratch, Identity: cfg.Identity}, exited: make(chan error, 1),
	}
	if err := p.start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", cfg.Name, err), cfg.forget(p.record))
	}
	return p, nil
}

// start starts the process and puts it on record.
func (p *program) start() error {
	if err := free(p.cfg.Addresses); err != nil {
		return err
	}
	if err := p.cfg.save(p.record); err != nil {
		return err
	}
	command, err := p.cfg.Command(p.record.Scratch)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(p.cfg.Log(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	defer log.Close() //nolint:errcheck // the program writes it, this process does not
	if info, err := log.Stat(); err == nil {
		p.logged = info.Size()
	}
	cmd := exec.Command(command.Args[0], command.Args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.cfg.Dir, log, log
	cmd.Env = slices.Concat(command.Env, []string{mark + "=" + p.record.Scratch})
	id, err := session.Start(cmd)
	if err != nil {
		return err
	}
	go func() { p.exited <- cmd.Wait() }()
	p.record.Session = id
	if err := p.cfg.save(p.record); err != nil {
		return errors.Join(err, id.End(context.Background(), 0), <-p.exited)
	}
	p.cfg.Logger.Info("started", "pid", id.PID)
	return nil
}

// wait returns why the process ended by itself, nil if life was done before.
func (p *program) wait(life context.Context) error {
	select {
	case err := <-p.exited:
		p.exited <- err
		if err == nil {
			return errors.New("it exited with status 0")
		}
		return err
	case <-life.Done():
		return nil
	}
}

// end ends every process of the program and then forgets it. When rest is done
// it kills instead of asking.
func (p *program) end(rest context.Context) error {
	if err := p.record.Session.End(rest, p.cfg.Grace); err != nil {
		return err
	}
	<-p.exited
	return p.cfg.forget(p.record)
}

// lastLines quotes what the process wrote last.
func (p *program) lastLines() string {
	b, err := os.ReadFile(p.cfg.Log())
	if err != nil {
		return ""
	}
	b = bytes.TrimSpace(b[min(p.logged, int64(len(b))):])
	if len(b) == 0 {
		return ""
	}
	return fmt.Sprintf("; %s ends with:\n%s", p.cfg.Log(), bytes.ToValidUTF8(b[max(0, len(b)-tailBytes):], nil))
}
