package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"refit.dev/events"
	"refit.dev/platform/host"
)

// Running is a platform in this process, see [host.Host].
type Running interface {
	// Connection says how to reach it.
	Connection() host.Connection
	// Ready returns when MLflow and Ray answer as well, or ctx ends.
	Ready(ctx context.Context) error
	// Wait returns nil when ctx ends, or earlier with the reason why the
	// platform cannot go on.
	Wait(ctx context.Context) error
	// Close ends all of it and returns when nothing is left.
	Close() error
}

var _ Running = (*host.Host)(nil)

// StartFunc starts a platform and returns when uploads and events can be sent.
// The context bounds the start and nothing after it.
type StartFunc func(ctx context.Context, c host.Config) (Running, error)

// platformFlags are the settings of a platform, shared by the commands that may
// start one.
type platformFlags struct {
	config    host.Config
	functions map[string]string
}

// addTo declares the flags on cmd.
func (p *platformFlags) addTo(cmd *cobra.Command) {
	c, f := &p.config, pflag.NewFlagSet("platform", pflag.ContinueOnError)
	c.Ports = host.DefaultPorts()
	f.StringVar(&c.Host, "host", "127.0.0.1", "loopback address of every port")
	f.IntVar(&c.Ports.Broker, "port-broker", c.Ports.Broker, "port of the broker and the functions, 0 for a free one")
	f.IntVar(&c.Ports.S3, "port-s3", c.Ports.S3, "port of the object store, 0 for a free one")
	f.IntVar(&c.Ports.NATS, "port-nats", c.Ports.NATS, "port of NATS, 0 for a free one")
	f.IntVar(&c.Ports.MLflow, "port-mlflow", c.Ports.MLflow, "port of MLflow, 0 for a free one")
	f.IntVar(&c.Ports.RayDashboard, "port-ray-dashboard", c.Ports.RayDashboard, "port of Ray's dashboard, 0 for a free one")
	f.IntVar(&c.Ports.RayGCS, "port-ray-gcs", c.Ports.RayGCS, "port of Ray's head, 0 for a free one")
	f.StringVar(&c.Source, "source", ".", "folder that holds docker/ with the workloads")
	f.StringVar(&c.Python, "python", "", "interpreter of the locked environment (default .venv/bin/python in --source)")
	f.IntVar(&c.CPUs, "cpus", 0, "CPUs that workloads may use (default all)")
	f.StringToStringVar(&p.functions, "functions-url", nil, "stage=URL of a function that runs as its own process, may be repeated")
	f.DurationVar(&c.Deadline, "deadline", 0, "how long one attempt of a stage may take (default 1h)")
	f.DurationVar(&c.Sweep, "sweep", 0, "how often lost events are looked for (default 1m)")
	f.VisitAll(func(flag *pflag.Flag) { flag.Usage += " (env " + envName(flag.Name) + ")" })
	cmd.Flags().AddFlagSet(f)
}

// resolve is the configuration for the data folder dir.
func (p *platformFlags) resolve(dir string, log *slog.Logger) (host.Config, error) {
	c := p.config
	c.Dir, c.Logger, c.Commit = dir, log, Commit()
	for stage, url := range p.functions {
		if !events.Stage(stage).Valid() {
			return c, usagef("--functions-url %s=%s: there is no stage %q: accepted are %v", stage, url, stage, events.Stages())
		}
	}
	if err := checkLimits(c); err != nil {
		return c, err
	}
	c.Functions = p.functions
	return c.WithDefaults()
}

// checkLimits refuses numbers that are none, before anything is started.
func checkLimits(c host.Config) error {
	for _, p := range []struct {
		flag  string
		value int
	}{
		{"port-broker", c.Ports.Broker}, {"port-s3", c.Ports.S3}, {"port-nats", c.Ports.NATS}, {"port-mlflow", c.Ports.MLflow},
		{"port-ray-dashboard", c.Ports.RayDashboard}, {"port-ray-gcs", c.Ports.RayGCS},
	} {
		if p.value < 0 || p.value > 65535 {
			return usagef("--%s %d: accepted is a port from 1 to 65535, or 0 for a free one", p.flag, p.value)
		}
	}
	for flag, d := range map[string]time.Duration{"deadline": c.Deadline, "sweep": c.Sweep} {
		if d < 0 {
			return usagef("--%s %s: accepted is a time above 0, such as 30m", flag, d)
		}
	}
	return nil
}

func envName(flag string) string {
	return "REFIT_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// readEnv sets the flags that the environment names and the command line does
// not: those of the platform, and --dir.
func (a *App) readEnv(cmd *cobra.Command) error {
	var errs []error
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		name := envName(flag.Name)
		value := a.Getenv(name)
		if flag.Changed || value == "" || !strings.Contains(flag.Usage, "(env "+name+")") {
			return
		}
		if err := cmd.Flags().Set(flag.Name, value); err != nil {
			errs = append(errs, fmt.Errorf("%s=%q: %w", name, value, err))
		}
	})
	if err := errors.Join(errs...); err != nil {
		return err
	}
	dir, err := filepath.Abs(a.dir)
	if err != nil {
		return fmt.Errorf("find %s: %w", a.dir, err)
	}
	a.dir = dir
	return nil
}

// closePlatform ends a platform. A second signal leaves at once: what is left
// then is ended by the next platform on the data folder.
func (a *App) closePlatform(running Running) error {
	closed := make(chan error, 1)
	go func() { closed <- running.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			return fmt.Errorf("end the platform: %w", err)
		}
		return nil
	case <-a.forced:
		return &ExitError{Code: CodeInterrupted, Err: errors.New("left before the platform had ended: the next refit up ends what is left")}
	}
}

// places says where people look, without any secret.
func places(c host.Connection, dir string) [][2]string {
	list := [][2]string{
		{"uploads", "s3://" + c.S3.Landing + " at " + c.S3.Endpoint},
		{"broker", c.Broker},
		{"MLflow", c.MLflow},
		{"Ray", c.Ray.URL},
		{"NATS", c.NATS.URL},
		{"data", dir},
		{"credentials", filepath.Join(dir, "connection.json")},
		{"Ray's token", filepath.Join(dir, "ray", "token")},
	}
	return slices.DeleteFunc(list, func(p [2]string) bool { return p[1] == "" })
}

// logFile opens the log of a platform that runs behind a view of its own.
func (a *App) logFile() (*os.File, error) {
	if err := os.MkdirAll(a.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(a.dir, "platform.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the platform's log: %w", err)
	}
	return file, nil
}
