package process

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/workload"
)

// managerVariable makes the test binary a manager of that folder, for tests
// that kill a manager.
const managerVariable = "REFIT_TEST_MANAGER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(managerVariable); dir != "" {
		if err := serve(dir); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// serve runs a manager that launches jobs and then waits to be killed. It
// appends the workload of each end to the file ends.
func serve(dir string) error {
	cfg := Config{Dir: dir, Command: shell, Env: path, Finished: done(dir), Ended: func(_ context.Context, end workload.End) error {
		return note(dir, end)
	}}
	if os.Getenv(warmVariable) != "" {
		warmed(&cfg)
	}
	m, err := New(cfg)
	if err != nil {
		return err
	}
	if err := m.Start(context.Background()); err != nil {
		return err
	}
	jobs, err := strconv.Atoi(os.Getenv("REFIT_TEST_JOBS"))
	if err != nil {
		return err
	}
	for i := range jobs {
		if err := m.Launch(context.Background(), script(i+1, os.Getenv("REFIT_TEST_SCRIPT"))); err != nil {
			return err
		}
	}
	fmt.Println("launched")
	select {}
}

// note appends an end to the file ends.
func note(dir string, end workload.End) error {
	file, err := os.OpenFile(filepath.Join(dir, "ends"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(file, end.Workload, end.Outcome)
	return errors.Join(err, file.Close())
}

// host is a command that runs serve, with a warm program in a warm test.
func host(ctx context.Context, t *testing.T, dir, text string, jobs int) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = os.Environ()
	if warm(t) {
		cmd.Env = append(cmd.Env, warmVariable+"=yes")
	}
	cmd.Env = append(cmd.Env, managerVariable+"="+dir, "REFIT_TEST_SCRIPT="+text, "REFIT_TEST_JOBS="+strconv.Itoa(jobs))
	return cmd
}

// script is a job whose workload is a shell script. The script rides in the
// spec's URI: only tests give a workload to a shell.
func script(attempt int, text string) workload.Job {
	return workload.Job{
		Run: "r-20261123-060000-0a1b2c3d", Stage: events.Prepare, Attempt: attempt,
		Spec: (&url.URL{Scheme: "test", Path: "/", RawQuery: url.QueryEscape(text)}).String(),
	}
}

// shell is the Command of script.
func shell(job workload.Job) ([]string, error) {
	u, err := url.Parse(job.Spec)
	if err != nil {
		return nil, err
	}
	text, err := url.QueryUnescape(u.RawQuery)
	return []string{"/bin/sh", "-c", text}, err
}

// path is the Env of script.
func path(workload.Job) []string { return []string{"PATH=" + os.Getenv("PATH")} }

// warmVariable makes a test binary that is a manager have a warm program.
const warmVariable = "REFIT_TEST_WARM"

// warm tells whether the test is one of those that TestWarm runs again.
func warm(t *testing.T) bool {
	t.Helper()
	return strings.HasPrefix(t.Name(), "TestWarm/")
}

// warmed gives a manager a warm program whose processes become the shells that
// run the scripts.
func warmed(c *Config) {
	python, err := filepath.Abs("../../.venv/bin/python")
	if err != nil {
		panic(err)
	}
	c.Command = func(job workload.Job) ([]string, error) {
		args, err := shell(job)
		return append([]string{python, "-m", "become"}, args...), err
	}
	env := append(path(workload.Job{}), "PYTHONPATH="+filepath.Join(filepath.Dir(python), "../../docker/contract")+":"+testdata())
	c.Env = func(workload.Job) []string { return slices.Clone(env) }
	c.Warm = &Warm{
		Command: []string{python, "-m", "refit_contract.warm", c.Dir, "--"}, Env: append(slices.Clone(env), programOf+c.Dir), Patience: time.Minute,
	}
}

// programOf begins the variable by which the warm program of a folder is found.
const programOf = "REFIT_TEST_PROGRAM_OF="

// testdata is the folder of the module become.
func testdata() string {
	dir, err := filepath.Abs("testdata")
	if err != nil {
		panic(err)
	}
	return dir
}

// noCold fails a test if a workload was started without the warm program.
type noCold struct {
	slog.Handler
	b *bench
}

func (noCold) Enabled(context.Context, slog.Level) bool { return true }

func (h noCold) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "workload starts cold" && h.b.warm.Load() {
		h.b.t.Error(r.Message)
	}
	return nil
}

// stay is a script that says that it runs and stays, with a child.
const stay = `echo running; sleep 60 & wait`

// bench is a manager and what it announced.
type bench struct {
	*Manager
	t    *testing.T
	cfg  Config
	ends chan workload.End
	warm atomic.Bool // no workload may start cold from now on
}

// setup starts a manager on a new folder.
func setup(t *testing.T, change ...func(*Config)) *bench {
	t.Helper()
	return on(t, t.TempDir(), change...)
}

// on starts a manager on a folder, and closes it at the end.
func on(t *testing.T, dir string, change ...func(*Config)) *bench {
	t.Helper()
	b := &bench{t: t, ends: make(chan workload.End, 64)}
	b.cfg = Config{
		Dir: dir, Command: shell, Env: path, Grace: 5 * time.Second,
		Ended: func(_ context.Context, end workload.End) error {
			b.ends <- end
			return nil
		},
	}
	if warm(t) {
		warmed(&b.cfg)
		b.cfg.Logger = slog.New(noCold{slog.DiscardHandler, b})
	}
	for _, f := range change {
		f(&b.cfg)
	}
	var err error
	b.Manager, err = New(b.cfg)
	require.NoError(t, err)
	require.NoError(t, b.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, b.Close(context.Background())) })
	require.Eventually(t, func() bool { return !warm(t) || b.nursery.at() != nil }, 20*time.Second, time.Millisecond)
	b.warm.Store(warm(t))
	return b
}

// launch launches a script and returns the job.
func (b *bench) launch(attempt int, text string) workload.Job {
	b.t.Helper()
	job := script(attempt, text)
	require.NoError(b.t, b.Launch(b.t.Context(), job))
	return job
}

// end is the next end announced.
func (b *bench) end() workload.End {
	b.t.Helper()
	select {
	case end := <-b.ends:
		return end
	case <-time.After(20 * time.Second):
		require.FailNow(b.t, "no end was announced")
		return workload.End{}
	}
}

// cancel cancels the job and requires its end.
func (b *bench) cancel(job workload.Job) {
	b.t.Helper()
	require.NoError(b.t, b.Cancel(b.t.Context(), job.Name()))
	end := b.end()
	require.Equal(b.t, job.Name(), end.Workload)
	require.Equal(b.t, workload.Cancelled, end.Outcome)
}

// running waits until the job's script wrote "running", and returns the record.
func (b *bench) running(job workload.Job) Record {
	b.t.Helper()
	var r Record
	require.Eventually(b.t, func() bool {
		log, _ := os.ReadFile(filepath.Join(b.cfg.Dir, job.Name()+".log"))
		var err error
		r, err = b.Get(job.Name())
		return err == nil && r.State == Running && strings.Contains(string(log), "running\n")
	}, 20*time.Second, 5*time.Millisecond)
	return r
}

// gone requires that nothing of the job's session lives.
func (b *bench) gone(r Record) {
	b.t.Helper()
	members, err := r.Session.Members()
	require.NoError(b.t, err)
	require.Empty(b.t, members)
}

// crash has a manager in another process launch the script, kills that manager,
// and returns the folder and the job's record.
func crash(t *testing.T, text string) (string, Record) {
	t.Helper()
	dir := t.TempDir()
	cmd := host(context.Background(), t, dir, text, 1)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "launched\n", line)
	var r Record
	name := script(1, "").Name()
	require.Eventually(t, func() bool {
		log, _ := os.ReadFile(filepath.Join(dir, name+".log"))
		records, err := folder(dir).load()
		if err != nil || len(records) != 1 || !strings.Contains(string(log), "running\n") {
			return false
		}
		r = records[0]
		return r.State == Running
	}, 20*time.Second, 5*time.Millisecond)
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	t.Cleanup(func() { require.NoError(t, r.Session.End(context.Background(), 0)) })
	return dir, r
}

// failing returns a func that fails n times.
func failing(n int64) func() error {
	var calls atomic.Int64
	return func() error {
		if calls.Add(1) <= n {
			return fmt.Errorf("call %d of %d that fail", calls.Load(), n)
		}
		return nil
	}
}
