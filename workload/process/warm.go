package process

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"refit.dev/workload/process/session"
)

// Warm is a program that has the workloads' Python modules imported and forks a
// process of itself for each job, in milliseconds, see refit_contract.warm. The
// manager keeps it running. A job whose Command is "<Command[0]> -m module …"
// gets such a process; while there is none to be had, it is started like any
// other.
type Warm struct {
	// Command is the program, as an absolute path, and its arguments.
	Command []string
	// Env is its whole environment, as NAME=value. What libraries read of it when
	// they are imported holds for the jobs too.
	Env []string
	// Patience is how long a job waits for its process before it is started like
	// any other; 0 means half a second.
	Patience time.Duration
}

// errCold says that the warm program has no process to give now.
var errCold = errors.New("no warm process is to be had")

// steady is how long the warm program runs until its next death counts as the first.
const steady = time.Minute

// request asks the warm program for one process.
type request struct {
	Module      string            `json:"module"`
	Arguments   []string          `json:"arguments"`
	Environment map[string]string `json:"environment"`
	Folder      string            `json:"folder"`
	Log         string            `json:"log"`
}

// variables are assignments by name; of two for one name the last one counts, as
// it does for a process that is started.
func variables(env []string) map[string]string {
	named := make(map[string]string, len(env))
	for _, assignment := range env {
		name, value, _ := strings.Cut(assignment, "=")
		named[name] = value
	}
	return named
}

// nursery is the running warm program.
type nursery struct {
	m *Manager

	mu sync.Mutex
	// control is nil while the program does not run.
	control *net.UnixConn
}

// has tells whether the program can fork a process that does what args say.
func (n *nursery) has(args []string) bool {
	w := n.m.cfg.Warm
	return w != nil && len(args) > 2 && args[0] == w.Command[0] && args[1] == "-m"
}

// run keeps the program running until life is done.
func (n *nursery) run(life context.Context) {
	for life.Err() == nil {
		err := n.m.retry(life, "run the warm program", func() error { return n.live(life) })
		if err != nil && life.Err() == nil {
			n.m.cfg.Logger.Warn("the warm program is given up", "error", err)
			return
		}
	}
}

// live runs the program once. It returns an error if the program died early, so
// that the next life has to wait.
func (n *nursery) live(life context.Context) error {
	born := time.Now()
	ours, theirs, err := pair()
	if err != nil {
		return err
	}
	defer ours.Close() //nolint:errcheck // a socket that nobody reads any more
	cmd, err := n.start(theirs)
	if err = errors.Join(err, theirs.Close()); err != nil {
		return err
	}
	n.open(ours)
	// Its children live on: they are workloads.
	stop := context.AfterFunc(life, func() { _ = cmd.Process.Kill() })
	died := cmd.Wait()
	n.open(nil)
	if !stop() || time.Since(born) >= steady {
		return nil
	}
	return fmt.Errorf("it died, see %s: %w", n.log(), errors.Join(died, errCold))
}

// start starts the program with its end of the control socket as descriptor 3.
func (n *nursery) start(control *os.File) (*exec.Cmd, error) {
	log, err := os.OpenFile(n.log(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of the warm program: %w", err)
	}
	defer log.Close() //nolint:errcheck // the program writes it, this process does not
	command := n.m.cfg.Warm.Command
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = n.m.cfg.WorkDir, n.m.cfg.Warm.Env, log, log
	cmd.ExtraFiles = []*os.File{control}
	id, err := session.Start(cmd)
	if err != nil {
		return nil, err
	}
	n.m.cfg.Logger.Info("started the warm program", "pid", id.PID)
	return cmd, nil
}

func (n *nursery) log() string { return filepath.Join(n.m.cfg.Dir, "warm.log") }

// open says where the program is asked, nil if nowhere.
func (n *nursery) open(control *net.UnixConn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.control = control
}

// at is where the program is asked, nil if nowhere.
func (n *nursery) at() *net.UnixConn {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.control
}

// fork asks for a process that waits for its release: the line "go" on the
// connection. If the connection is closed instead, the process ends without
// having done anything. errCold, wrapped, means that there is no such process.
func (n *nursery) fork(q request) (*birth, error) {
	control := n.at()
	if control == nil {
		return nil, errCold
	}
	ours, theirs, err := pair()
	if err != nil {
		return nil, errors.Join(errCold, err)
	}
	b := &birth{conn: ours, lines: bufio.NewReader(ours)}
	until := time.Now().Add(n.m.cfg.Warm.Patience)
	err = errors.Join(control.SetWriteDeadline(until), ours.SetDeadline(until), pass(control, theirs), theirs.Close())
	if err == nil {
		err = b.ask(q)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", errCold, err), ours.Close())
	}
	return b, nil
}

// birth is a process of the warm program that waits for its release.
type birth struct {
	conn  *net.UnixConn
	lines *bufio.Reader
	id    session.ID
}

// ask sends the request and waits for the process.
func (b *birth) ask(q request) error {
	if err := json.NewEncoder(b.conn).Encode(q); err != nil {
		return fmt.Errorf("ask the warm program: %w", err)
	}
	pid, err := b.line("pid")
	if err != nil {
		return err
	}
	b.id, err = session.Of(pid)
	return err
}

// line reads the next line, which is to be what and a number.
func (b *birth) line(what string) (int, error) {
	text, err := b.lines.ReadString('\n')
	if err != nil {
		return 0, fmt.Errorf("hear from the warm program: %w", err)
	}
	value, ok := strings.CutPrefix(strings.TrimSpace(text), what+" ")
	if !ok {
		return 0, fmt.Errorf("warm program says %q, not %q", text, what)
	}
	return strconv.Atoi(value)
}

// release lets the process go on and returns where its exit status comes. That
// is errUnseen if the warm program dies before.
func (b *birth) release() <-chan error {
	exited := make(chan error, 1)
	// If nobody is there to read it, there is no status to read either.
	_ = errors.Join(b.conn.SetDeadline(time.Time{}), b.admit())
	go func() {
		defer b.conn.Close() //nolint:errcheck // all is read
		status, err := b.line("ended")
		if err != nil {
			_ = b.id.Wait(context.Background())
			exited <- errUnseen
			return
		}
		exited <- exitOf(syscall.WaitStatus(status))
	}()
	return exited
}

// admit says the word.
func (b *birth) admit() error {
	_, err := b.conn.Write([]byte("go"))
	return err
}

// pass gives file to the program, with a byte to carry it.
func pass(control *net.UnixConn, file *os.File) error {
	_, _, err := control.WriteMsgUnix([]byte{0}, syscall.UnixRights(int(file.Fd())), nil)
	if err != nil {
		return fmt.Errorf("reach the warm program: %w", err)
	}
	return nil
}

// pair makes two ends of one socket, of which the second is for another process.
func pair() (*net.UnixConn, *os.File, error) {
	syscall.ForkLock.RLock()
	ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(ends[0])
		syscall.CloseOnExec(ends[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, fmt.Errorf("make a pair of sockets: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(ends[0]), "ours"), os.NewFile(uintptr(ends[1]), "theirs")
	conn, err := net.FileConn(ours)
	if err = errors.Join(err, ours.Close()); err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return conn.(*net.UnixConn), theirs, nil //nolint:forcetypeassert // of AF_UNIX there are no others
}
