package host

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"refit.dev/workload"
)

// Config says where the platform keeps its data and on which ports it listens.
type Config struct {
	// Dir holds all data, ".refit" by default. It survives restarts.
	Dir string
	// Host is the address of every port, 127.0.0.1 by default.
	Host string
	// Ports by name; zero picks a free one.
	Ports Ports
	// Python is the interpreter of the locked environment, ".venv/bin/python"
	// by default.
	Python string
	// Source is the folder that holds docker/ with the workloads' code, the
	// current one by default.
	Source string
	// Command runs a workload instead of the Python module of its stage, if it
	// is set: an absolute path and arguments. Such workloads are never warm.
	Command func(workload.Job) ([]string, error)
	// Cold starts an interpreter for each workload, instead of keeping one that
	// has everything imported.
	Cold bool
	// CPUs is the budget of the workloads, the machine's by default.
	CPUs int
	// Functions are URLs of functions that run as processes of their own, by
	// stage; the others are mounted in process.
	Functions map[string]string
	// Deadline is how long one attempt of a stage may take, an hour by default.
	Deadline time.Duration
	// AckWait is how long an event waits for another delivery after a crash, see
	// broker.Config.
	AckWait time.Duration
	// Sweep is how often lost events are looked for, a minute by default.
	Sweep time.Duration
	// Commit of the code, kept with each run.
	Commit string
	Logger *slog.Logger
	// Clock is time.Now by default.
	Clock func() time.Time
}

// Ports are the ports of the platform's services.
type Ports struct {
	Broker, S3, NATS, MLflow, RayDashboard, RayGCS int
}

// DefaultPorts are where people look for the services.
func DefaultPorts() Ports {
	return Ports{Broker: 8480, S3: 8490, NATS: 4222, MLflow: 5000, RayDashboard: 8265, RayGCS: 6379}
}

// WithDefaults returns c with what was left out filled in.
func (c Config) WithDefaults() (Config, error) {
	fill(&c.Dir, ".refit")
	fill(&c.Host, "127.0.0.1")
	fill(&c.Source, ".")
	fill(&c.Python, filepath.Join(c.Source, ".venv", "bin", "python"))
	if c.CPUs == 0 {
		c.CPUs = runtime.NumCPU()
	}
	if c.Deadline == 0 {
		c.Deadline = time.Hour
	}
	if c.Sweep == 0 {
		c.Sweep = time.Minute
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	for _, path := range []*string{&c.Dir, &c.Source, &c.Python} {
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return c, fmt.Errorf("find %s: %w", *path, err)
		}
		*path = absolute
	}
	return c, c.validate()
}

func (c Config) validate() error {
	if ip := net.ParseIP(c.Host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("host %q: accepted is a loopback address such as 127.0.0.1", c.Host)
	}
	if c.CPUs < 1 {
		return fmt.Errorf("cpus %d: accepted is a number from 1", c.CPUs)
	}
	if _, err := os.Stat(c.Python); err != nil {
		return fmt.Errorf("python %s is missing: run make setup: %w", c.Python, err)
	}
	return nil
}

func (c Config) address(port int) string { return net.JoinHostPort(c.Host, strconv.Itoa(port)) }

func fill(field *string, value string) {
	if *field == "" {
		*field = value
	}
}
