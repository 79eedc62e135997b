package cli

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"

	"refit.dev/platform/host"
)

// check is one thing that doctor looked at.
type check struct {
	Name string `json:"name"`
	// State is "ok", "missing" for what refit cannot do without, or "advice".
	State string `json:"state"`
	// Found says what is there, Advice how to get what is not.
	Found  string `json:"found"`
	Advice string `json:"advice,omitempty"`
}

// The states of a check.
const (
	checkOK      = "ok"
	checkMissing = "missing"
	checkAdvice  = "advice"
)

func ok(name, found string) check { return check{Name: name, State: checkOK, Found: found} }

func missing(name, found, advice string) check {
	return check{Name: name, State: checkMissing, Found: found, Advice: advice}
}

func advice(name, found, advice string) check {
	return check{Name: name, State: checkAdvice, Found: found, Advice: advice}
}

// doctor looks at the machine and at a running platform.
type doctor struct {
	app    *App
	config host.Config
	// session is nil if no platform runs.
	session *Session
	// command runs a program and returns what it printed.
	command func(ctx context.Context, name string, args ...string) ([]byte, error)
}

func (a *App) doctorCommand() *cobra.Command {
	var p platformFlags
	var inCluster bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check what refit needs, and say how to get what is missing",
		Long: `Check what refit needs on this machine and say how to get what is missing: Go,
Python with the locked environment, free ports, disk space, a data folder that
can be written, short paths for Ray's sockets. Sixteen writers race for one
object to see whether the object store really honours If-None-Match. On a running
platform NATS and the broker are tried as well.

With --cluster or --context it looks at the refit in a cluster instead: the kinds
of objects that it needs, its settings, what is ready, what its service accounts
may do, the object store, NATS and MLflow, and a round trip through the broker.`,
		Example: `  refit doctor
  refit doctor --json
  refit doctor --cluster
  refit doctor --context my-cluster --namespace kubeflow`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if inCluster || a.inCluster() {
				return a.doctorCluster(cmd.Context())
			}
			return a.doctor(cmd.Context(), &p)
		},
	}
	cmd.Flags().BoolVar(&inCluster, "cluster", false, "look at the refit in a cluster, by default that of the current context")
	p.addTo(cmd)
	return cmd
}

func (a *App) doctor(ctx context.Context, p *platformFlags) error {
	config, err := p.resolve(a.dir, nil)
	d := &doctor{app: a, config: config, command: run}
	if err != nil {
		d.config.Python = filepath.Join(config.Source, ".venv", "bin", "python")
	}
	session, err := a.Connect(ctx, a.dir)
	if err == nil {
		defer session.Close()
		d.session = session
	}
	checks := d.machine(ctx)
	if err != nil && !errors.Is(err, host.ErrNotRunning) {
		checks = append(checks, missing("platform", err.Error(), "end it and start it again: refit up"))
	} else {
		checks = append(checks, d.platform(ctx)...)
	}
	return a.report(checks)
}

func run(ctx context.Context, name string, args ...string) ([]byte, error) {
	return exec.CommandContext(ctx, name, args...).Output()
}

func (a *App) report(checks []check) error {
	healthy := true
	g := grid{header: []string{"", "check", "found", "advice"}}
	for _, c := range checks {
		healthy = healthy && c.State != checkMissing
		g.add(c.State, c.Name, c.Found, c.Advice)
	}
	if a.json {
		if err := a.printJSON(map[string]any{"ok": healthy, "checks": checks}); err != nil {
			return err
		}
	} else {
		g.print(a.Out, a.OutTerminal)
	}
	if !healthy {
		return &ExitError{Code: CodeError, Err: errors.New("something that refit needs is missing: see the advice above")}
	}
	return nil
}
