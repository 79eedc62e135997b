package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v4/disk"

	"refit.dev/platform/port"
)

// What a machine must have.
const (
	// neededDisk holds a Ray session, a run of the default data and its models;
	// with less than wantedDisk a few more runs fill the disk.
	neededDisk = 1 << 30
	wantedDisk = 5 << 30
	// importTime bounds the import of everything, on a cold disk.
	importTime = 3 * time.Minute
	// scratchRoot is where services get their scratch folders: a Unix socket's
	// path has at most 107 letters, and Ray needs most of them.
	scratchRoot = "/tmp"
	raySocket   = len("session_2026-11-23_06-00-00_000000_1234567/sockets/plasma_store")
)

func (d *doctor) machine(ctx context.Context) []check {
	return slices.Concat(
		[]check{d.golang(ctx), d.lock()}, d.python(ctx),
		[]check{d.folder(), d.disk(ctx), d.scratch()}, d.ports(),
	)
}

func (d *doctor) golang(ctx context.Context) check {
	const how = "install Go 1.26 or later from https://go.dev/dl to build refit and run its tests"
	out, err := d.command(ctx, "go", "env", "GOVERSION")
	if err != nil {
		return advice("Go", "no go on the PATH", how)
	}
	version := strings.TrimSpace(string(out))
	var major, minor int
	if n, _ := fmt.Sscanf(version, "go%d.%d", &major, &minor); n < 2 || major < 1 || (major == 1 && minor < 26) {
		return advice("Go", version, how)
	}
	return ok("Go", version)
}

// lock compares the environment's stamp with the lock file.
func (d *doctor) lock() check {
	const name, how = "locked environment", "run make setup in the folder of the project"
	want, err := os.ReadFile(filepath.Join(d.config.Source, "docker", "requirements.txt"))
	if err != nil {
		return missing(name, err.Error(), "run in the folder of the project, or name it with --source")
	}
	home := filepath.Dir(filepath.Dir(d.config.Python))
	got, err := os.ReadFile(filepath.Join(home, "refit-requirements.txt"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return missing(name, "no finished environment in "+home, how)
	case err != nil:
		return missing(name, err.Error(), how)
	case !bytes.Equal(want, got):
		return missing(name, home+" is older than docker/requirements.txt", how)
	}
	return ok(name, home)
}

// imports prints the version of Python and of each package, or why it cannot be
// imported.
const imports = `
import importlib, json, sys
found = {"python": "%d.%d.%d" % sys.version_info[:3]}
for name in sys.argv[1:]:
    try:
        found[name] = str(importlib.import_module(name).__version__)
    except Exception as err:
        found[name] = "! %s: %s" % (type(err).__name__, err)
print(json.dumps(found))
`

// python imports what the workloads stand on; that the files lie there says
// little about whether they work.
func (d *doctor) python(ctx context.Context) []check {
	const how = "run make setup in the folder of the project; it needs Python 3.11 to 3.13"
	ctx, cancel := context.WithTimeout(ctx, importTime)
	defer cancel()
	packages := []string{"ray", "mlflow", "feast", "xgboost"}
	out, err := d.command(ctx, d.config.Python, append([]string{"-c", imports}, packages...)...)
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	var found map[string]string
	if err == nil {
		err = json.Unmarshal(lines[len(lines)-1], &found)
	}
	if err != nil {
		return []check{missing("Python", fmt.Sprintf("%s: %v", d.config.Python, err), how)}
	}
	checks := []check{ok("Python", found["python"])}
	var major, minor int
	if n, _ := fmt.Sscanf(found["python"], "%d.%d", &major, &minor); n < 2 || major != 3 || minor < 11 {
		checks[0] = missing("Python", found["python"], how)
	}
	for _, name := range packages {
		if problem, broken := strings.CutPrefix(found[name], "! "); broken {
			checks = append(checks, missing(name, problem, how))
		} else {
			checks = append(checks, ok(name, found[name]))
		}
	}
	return checks
}

// existing is the nearest folder of path that exists.
func existing(path string) string {
	for {
		if info, err := os.Stat(path); err == nil && info.IsDir() || path == filepath.Dir(path) {
			return path
		}
		path = filepath.Dir(path)
	}
}

func (d *doctor) folder() check {
	const name = "data folder"
	folder, err := os.MkdirTemp(existing(d.app.dir), ".refit-doctor-")
	if err == nil {
		err = os.Remove(folder)
	}
	if err != nil {
		return missing(name, err.Error(), "make it writable, or choose another with --dir")
	}
	return ok(name, d.app.dir)
}

func (d *doctor) disk(ctx context.Context) check {
	const name = "disk space"
	usage, err := disk.UsageWithContext(ctx, existing(d.app.dir))
	if err != nil {
		return advice(name, err.Error(), "see that there are some gigabytes")
	}
	found := fmt.Sprintf("%.1f GiB free", float64(usage.Free)/(1<<30))
	switch {
	case usage.Free < neededDisk:
		return missing(name, found, "make room for at least 1 GiB, or choose another folder with --dir")
	case usage.Free < wantedDisk:
		return advice(name, found, "5 GiB leave room for a few runs")
	}
	return ok(name, found)
}

// scratch checks that Ray's sockets get the short paths that they need.
func (d *doctor) scratch() check {
	const name = "short paths for sockets"
	folder, err := os.MkdirTemp(scratchRoot, "refit-doctor-")
	if err != nil {
		return missing(name, err.Error(), "make "+scratchRoot+" a folder that you can write to")
	}
	listener, err := net.Listen("unix", filepath.Join(folder, strings.Repeat("s", raySocket)))
	if err == nil {
		err = listener.Close()
	}
	if err = errors.Join(err, os.RemoveAll(folder)); err != nil {
		return missing(name, err.Error(), "use a file system with Unix sockets at "+scratchRoot)
	}
	return ok(name, scratchRoot)
}

// ports checks that nobody holds the platform's ports, unless it runs.
func (d *doctor) ports() []check {
	if d.session != nil {
		return nil
	}
	p := d.config.Ports
	settings := []struct {
		name   string
		number int
	}{
		{"broker", p.Broker}, {"s3", p.S3}, {"nats", p.NATS}, {"mlflow", p.MLflow}, {"ray-dashboard", p.RayDashboard}, {"ray-gcs", p.RayGCS},
	}
	var checks []check
	var free []string
	for _, s := range settings {
		if port.Check(d.config.Host, map[string]int{s.name: s.number}) == nil {
			free = append(free, strconv.Itoa(s.number))
			continue
		}
		checks = append(checks, missing(fmt.Sprintf("port %d", s.number), "held by "+port.Holder(s.number), "end that process, or choose another with --port-"+s.name))
	}
	if len(free) > 0 {
		checks = append(checks, ok("free ports", strings.Join(free, ", ")))
	}
	return checks
}
