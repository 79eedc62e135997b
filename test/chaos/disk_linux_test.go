package chaos_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"refit.dev/events"
	"refit.dev/platform/journal"
	"refit.dev/test/platformtest"
)

// disk mounts a small file system for as long as the test runs. That takes the
// rights to mount: without them the test fails.
func disk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size+",mode=0700"), "these tests mount a small disk, as root or in a user namespace")
	t.Cleanup(func() { require.NoError(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	return dir
}

// fill keeps a disk as small as what is on it, also when something is taken
// away, and returns what makes it large again.
func fill(t *testing.T, dir string) (empty func()) {
	t.Helper()
	resize := func(bytes uint64) error {
		return unix.Mount("", dir, "", unix.MS_REMOUNT, "size="+strconv.FormatUint(bytes, 10))
	}
	var full unix.Statfs_t
	require.NoError(t, unix.Statfs(dir, &full))
	ctx, stop := context.WithCancel(t.Context())
	var filler sync.WaitGroup
	filler.Go(func() {
		again := time.NewTicker(time.Millisecond)
		defer again.Stop()
		for {
			var now unix.Statfs_t
			if unix.Statfs(dir, &now) == nil && now.Bfree > 0 {
				_ = resize((now.Blocks - now.Bfree) * uint64(now.Bsize)) // fails when more was written meanwhile
			}
			select {
			case <-ctx.Done():
				return
			case <-again.C:
			}
		}
	})
	return func() {
		stop()
		filler.Wait()
		require.NoError(t, resize(full.Blocks*uint64(full.Bsize)))
	}
}

// TestAFullDiskIsWaitedFor fills the disk under a run. When there is space
// again, the run goes on, and so do uploads.
func TestAFullDiskIsWaitedFor(t *testing.T) {
	m := &mayhem{child: child{Dir: disk(t, "2g")}}
	m.p = m.up(t)
	const under = "work=500ms/under.parquet"
	require.NoError(t, m.put(t, under))
	run := runOf(t, m.p.Platform, under)
	m.p.Until(t, journal.Filter{Run: run.ID}, func(e event.Event) bool { return e.Type() == string(events.Prepare.Started()) })
	empty := fill(t, m.Dir)
	require.Eventually(t, func() bool { return m.put(t, "no-space.parquet") != nil }, 20*time.Second, 100*time.Millisecond, "the disk is full")
	require.Never(t, func() bool {
		_, err := m.p.Bucket("refit").Head(t.Context(), "runs/"+run.ID+"/mark")
		return err == nil
	}, 5*time.Second, 100*time.Millisecond, "nothing ends without space to say so")
	empty()
	m.survive(t)
	view := m.p.Ended(t, run.ID)
	require.Equal(t, journal.Rejected, view.State, view.Reason)
	const after = "after.parquet"
	require.NoError(t, m.put(t, after))
	require.Equal(t, journal.Rejected, m.p.Ended(t, runOf(t, m.p.Platform, after).ID).State)
	m.p.Interrupt()
}

// survive waits for a platform that has space again, and starts one that ended
// for want of it.
func (m *mayhem) survive(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { return m.p.Dead() || m.p.Answers(t) }, 3*time.Minute, 50*time.Millisecond, "MLflow and Ray do not answer")
	if m.p.Dead() {
		t.Log("the platform ended, and is started again")
		m.p = m.up(t)
	}
}

// TestAReadOnlyDataFolderIsNamed starts on a disk that takes no writes.
func TestAReadOnlyDataFolderIsNamed(t *testing.T) {
	dir := disk(t, "1m")
	require.NoError(t, unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	out, err := platformtest.Refit(t, filepath.Join(dir, "data"), "up").CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Contains(t, string(out), dir)
	require.Contains(t, string(out), "read-only file system")
}

// TestADiskThatIsTooSmallIsNamed starts where there is no space for events.
func TestADiskThatIsTooSmallIsNamed(t *testing.T) {
	dir := disk(t, "300m")
	out, err := platformtest.Refit(t, filepath.Join(dir, "data"), "up").CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Contains(t, string(out), dir)
	require.Contains(t, string(out), "too little free space for events: make room, or use a folder elsewhere")
}

// TestAStoreThatTurnsReadOnlyIsWaitedFor takes writes away from the objects of
// a platform that runs.
func TestAStoreThatTurnsReadOnlyIsWaitedFor(t *testing.T) {
	dir := t.TempDir()
	objects := filepath.Join(dir, "objects")
	require.NoError(t, os.Mkdir(objects, 0o700))
	require.NoError(t, unix.Mount("tmpfs", objects, "tmpfs", 0, "size=32m,mode=0700"))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(objects, unix.MNT_DETACH)) })
	m := &mayhem{child: child{Dir: dir}}
	m.p = m.up(t)
	const under = "work=500ms/under.parquet"
	require.NoError(t, m.put(t, under))
	run := runOf(t, m.p.Platform, under)
	require.Eventually(t, func() bool { return unix.Mount("", objects, "", unix.MS_REMOUNT|unix.MS_RDONLY, "") == nil }, 10*time.Second, time.Millisecond, "nobody writes just now")
	require.Error(t, m.put(t, "no-writes.parquet"))
	require.NoError(t, unix.Mount("", objects, "", unix.MS_REMOUNT, ""))
	view := m.p.Ended(t, run.ID)
	require.Equal(t, journal.Rejected, view.State, view.Reason)
	m.p.Interrupt()
}
