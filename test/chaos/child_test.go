package chaos_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refit.dev/platform/host"
	"refit.dev/platform/objects"
	"refit.dev/test/chaos/rig"
	"refit.dev/test/chaos/small"
	"refit.dev/test/platformtest"
)

// The first arguments that make this test binary something else: a platform, or
// an object store that dies between a write and its event.
const (
	platformWord = "chaos-platform"
	storeWord    = "chaos-store"
)

func TestMain(m *testing.M) {
	var play func(context.Context, []string) error
	if len(os.Args) > 1 {
		play = map[string]func(context.Context, []string) error{
			platformWord: runPlatform,
			storeWord:    runStore,
			small.Word:   func(ctx context.Context, args []string) error { return small.Main(ctx, args, os.Stdout) },
		}[os.Args[1]]
	}
	if play == nil {
		os.Exit(runTests(m))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := play(ctx, os.Args[2:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// shared is the data folder of most tests, so that MLflow and Ray are started
// once: a killed platform leaves them running for the next one.
var shared string

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "refit-chaos-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	shared = dir
	defer os.RemoveAll(dir)
	code := m.Run()
	return max(code, endServices(dir))
}

// endServices ends the MLflow and Ray that the last kill left running.
func endServices(dir string) int {
	for _, name := range []string{"mlflow", "ray"} {
		s, err := serviceOf(dir, name)
		if err != nil {
			continue // it never ran, or ended with its platform
		}
		if err := errors.Join(s.End(context.Background(), 0), os.RemoveAll(s.Scratch)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return 0
}

// functionsFile says, beside the notes of the workloads, where the functions are.
const functionsFile = "functions"

// sweep is how often the platforms of these tests look for lost events.
const sweep = 2 * time.Second

// child is a platform in a process of its own.
type child struct {
	Dir   string
	Ports host.Ports
	// Deadline of an attempt, an hour by default.
	Deadline time.Duration
	// Ahead is by how much the platform's clock is fast.
	Ahead time.Duration
	// Point is where the process dies, nowhere by default.
	Point rig.Point
}

// config is the rig's Config of a platform on dir.
func config(dir string, ports host.Ports) rig.Config {
	return rig.Config{
		Folder: filepath.Join(dir, "ran-here"),
		Config: host.Config{
			Dir: dir, Ports: ports, Source: platformtest.Root(), Sweep: sweep, AckWait: time.Second, CPUs: 1, Commit: "chaos",
			Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
		},
	}
}

// runPlatform is a platform until ctx is done or the process dies.
func runPlatform(ctx context.Context, args []string) error {
	var c child
	if err := json.Unmarshal([]byte(args[0]), &c); err != nil {
		return err
	}
	settings := config(c.Dir, c.Ports)
	settings.Deadline = c.Deadline
	settings.Clock = func() time.Time { return time.Now().Add(c.Ahead) }
	if err := os.MkdirAll(settings.Folder, 0o700); err != nil {
		return err
	}
	r, err := rig.Start(ctx, settings)
	if err != nil {
		return err
	}
	told := os.WriteFile(filepath.Join(settings.Folder, functionsFile), []byte(r.Functions.URL), 0o600)
	if err := errors.Join(told, c.Point.Arm(ctx, r), os.WriteFile(c.armed(), []byte(strconv.Itoa(os.Getpid())), 0o600)); err != nil {
		return errors.Join(err, r.Close())
	}
	return errors.Join(r.Wait(ctx), r.Close())
}

// runStore is an object store on the folder of a platform's, which dies when
// an object is written and its event is not.
func runStore(ctx context.Context, args []string) error {
	s, err := objects.Start(ctx, objects.Config{
		Dir: filepath.Join(args[0], "objects"), AccessKey: "chaos", SecretKey: "chaos-chaos", Buckets: []string{"landing"}, NotifyBuckets: []string{"landing"},
		Notify: func(context.Context, objects.Notification) error {
			return syscall.Kill(os.Getpid(), syscall.SIGKILL)
		},
	})
	if err != nil {
		return err
	}
	fmt.Println(s.URL())
	<-ctx.Done()
	return s.Close()
}

// play is this test binary as something else.
func play(t testing.TB, word string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	return exec.CommandContext(t.Context(), self, append([]string{word}, args...)...)
}

// command is a platform's process.
func (c child) command(t testing.TB) *exec.Cmd {
	t.Helper()
	if c.Ports == (host.Ports{}) {
		c.Ports = platformtest.Ports(t, c.Dir)
	}
	body, err := json.Marshal(c)
	require.NoError(t, err)
	return play(t, platformWord, string(body))
}

// armed is the file with the number of the process that will die at its point.
func (c child) armed() string { return filepath.Join(c.Dir, "ran-here", "armed") }

// up runs a platform and waits for it, and for its point if it has one.
func (c child) up(t testing.TB) *platformtest.Process {
	t.Helper()
	command := c.command(t)
	p := platformtest.Spawn(t, c.Dir, command)
	require.Eventually(t, func() bool {
		body, err := os.ReadFile(c.armed())
		return c.Point.At == "" || err == nil && string(body) == strconv.Itoa(command.Process.Pid)
	}, time.Minute, 5*time.Millisecond, "the platform does not come to wait at its point")
	return p
}

// begin is a ready platform on the shared folder, which the test's end kills.
func begin(t testing.TB) *mayhem {
	t.Helper()
	m := &mayhem{child: child{Dir: shared}}
	m.p = m.ready(t)
	t.Cleanup(func() { m.p.Kill() })
	return m
}

// ready is a platform whose MLflow and Ray answer, so that neither is started
// anew when the platform is killed.
func (c child) ready(t testing.TB) *platformtest.Process {
	t.Helper()
	p := c.up(t)
	require.Eventually(t, func() bool { return p.Answers(t) }, 3*time.Minute, 50*time.Millisecond, "MLflow and Ray do not answer")
	return p
}
