// Package ray runs a real Ray head node, with its dashboard, beside this
// program.
//
// Everything of it listens on the loopback interface and asks for a token. Its
// sockets and logs are in a private scratch folder that is removed at the end,
// and nothing is written to the home directory. `ray stop`, which ends every
// Ray of the machine, is not used.
package ray

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"refit.dev/platform/service"
)

// host is where everything listens. Ray's own idea of a head is one that other
// machines can reach, see Env.
const host = "127.0.0.1"

// inherited tells a driver that its workers need no environment but the head's.
const inherited = "REFIT_RAY_INHERITED=1"

// Config says how the head is run. Python and Dir are needed.
type Config struct {
	// Python is the interpreter, an absolute path, with ray[default] installed.
	Python string
	// Dir is an absolute path: the folder for the token, the record and the log.
	Dir string
	// Port is the port of the head (its GCS); 0 means 6379.
	Port int
	// DashboardPort is the port of the dashboard and the jobs API; 0 means 8265.
	DashboardPort int
	// CPUs is how many CPUs Ray hands out; 0 lets Ray count them.
	CPUs int
	// ObjectStoreBytes is the size of the object store; 0 means 256 MiB.
	ObjectStoreBytes int64
	// PythonPath is where the workers find the packages of the workloads.
	PythonPath []string
	// Env is added to the environment of the workers, which do not see their
	// driver's: what they need to reach MLflow, say. It may hold secrets.
	Env []string
	// EndLeftover ends a head of a run that crashed instead of going on with it.
	EndLeftover bool
	// Restarts is how often the head is started again when it dies; 0 means 5,
	// a negative number never.
	Restarts int
	// Logger gets what happens; nil discards it.
	Logger *slog.Logger
}

// Head is a running Ray head node.
type Head struct {
	*service.Service

	// Address is what drivers connect to, DashboardURL what people look at.
	Address, DashboardURL string
	// TokenPath is the file with the token that both ask for, mode 0600.
	TokenPath string
}

// Env is what the environment of a driver needs to reach the head.
func (h *Head) Env() []string {
	return append(loopback(h.TokenPath), "RAY_ADDRESS="+h.Address, inherited)
}

// loopback is the environment of everything that belongs to the head.
// RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0 is Ray's only switch for "this node alone":
// without it Ray replaces 127.0.0.1 by the address of the network interface,
// and its servers listen on all interfaces.
func loopback(tokenPath string) []string {
	return []string{
		"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0",
		"RAY_AUTH_MODE=token", "RAY_AUTH_TOKEN_PATH=" + tokenPath,
		"RAY_USAGE_STATS_ENABLED=0", "OMP_WAIT_POLICY=passive",
	}
}

// withDefaults returns a copy with the defaults filled in.
func (c Config) withDefaults() Config {
	if c.Port == 0 {
		c.Port = 6379
	}
	if c.DashboardPort == 0 {
		c.DashboardPort = 8265
	}
	if c.ObjectStoreBytes == 0 {
		c.ObjectStoreBytes = 256 << 20
	}
	return c
}

// validate says what is wrong.
func (c Config) validate() error {
	if !filepath.IsAbs(c.Python) || !filepath.IsAbs(c.Dir) {
		return fmt.Errorf("ray: Python %q and Dir %q must be absolute paths", c.Python, c.Dir)
	}
	return nil
}

// Start starts the head and returns before it answers: Ready waits for that. A
// head that is left over from a crash is taken over if its settings are the
// same, so that a driver that survived keeps its cluster, and ended otherwise.
func Start(ctx context.Context, cfg Config) (*Head, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	token, err := cfg.token()
	if err != nil {
		return nil, err
	}
	h := &Head{
		Address:      net.JoinHostPort(host, strconv.Itoa(cfg.Port)),
		DashboardURL: "http://" + net.JoinHostPort(host, strconv.Itoa(cfg.DashboardPort)),
		TokenPath:    cfg.tokenPath(),
	}
	// No grace: a head has nothing to save, and asked politely it drains for up
	// to 30 seconds and forgets some of its processes.
	h.Service, err = service.Start(ctx, service.Config{
		Name: "ray", Dir: cfg.Dir, Identity: cfg.identity(), Command: cfg.command,
		Addresses: []string{h.Address, strings.TrimPrefix(h.DashboardURL, "http://")},
		Check:     service.Answers(h.DashboardURL+"/api/version", token),
		Restarts:  cfg.Restarts, Logger: cfg.Logger,
	})
	if err != nil {
		return nil, err
	}
	return h, nil
}

// identity changes with every setting of the head itself. It is a hash, since Env may hold secrets
// and the record is no place for them.
func (c Config) identity() string {
	if c.EndLeftover {
		return ""
	}
	c.Logger, c.Restarts = nil, 0
	sum := sha256.Sum256(fmt.Appendf(nil, "%#v", c))
	return hex.EncodeToString(sum[:])
}

func (c Config) tokenPath() string { return filepath.Join(c.Dir, "token") }

// token reads the token, and makes it the first time. It stays the same, so
// drivers survive a restart.
func (c Config) token() (string, error) {
	b, err := os.ReadFile(c.tokenPath())
	if err == nil && len(strings.TrimSpace(string(b))) > 0 {
		return strings.TrimSpace(string(b)), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the token of ray: %w", err)
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return "", fmt.Errorf("make the folder of ray: %w", err)
	}
	token := rand.Text() + rand.Text()
	if err := os.WriteFile(c.tokenPath(), []byte(token), 0o600); err != nil {
		return "", fmt.Errorf("write the token of ray: %w", err)
	}
	return token, nil
}

// command is the command line. Ports that nobody needs to know are Ray's to
// choose; the client proxy, which cannot be switched off, must be given one.
func (c Config) command(scratch string) (service.Command, error) {
	proxy, err := service.FreePort(host)
	if err != nil {
		return service.Command{}, err
	}
	args := []string{
		// The console script is named by path: `python -m ray` does not exist.
		filepath.Join(filepath.Dir(c.Python), "ray"), "start", "--head", "--block",
		"--node-ip-address", host, "--port", strconv.Itoa(c.Port),
		"--include-dashboard", "true", "--dashboard-host", host, "--dashboard-port", strconv.Itoa(c.DashboardPort),
		"--ray-client-server-port", strconv.Itoa(proxy),
		"--min-worker-port", "0", "--max-worker-port", "0", "--dashboard-agent-listen-port", "0",
		"--object-store-memory", strconv.FormatInt(c.ObjectStoreBytes, 10),
		"--temp-dir", scratch, "--disable-usage-stats", "--no-monitor", "--log-color", "false",
	}
	if c.CPUs > 0 {
		args = append(args, "--num-cpus", strconv.Itoa(c.CPUs))
	}
	env := append(loopback(c.tokenPath()),
		"PATH="+filepath.Dir(c.Python)+string(os.PathListSeparator)+os.Getenv("PATH"),
		"HOME="+scratch, "LANG=C.UTF-8",
		"PYTHONPATH="+strings.Join(c.PythonPath, string(os.PathListSeparator)),
		"DASHBOARD_METRIC_PORT=0", "RAY_prestart_worker_first_driver=0",
	)
	return service.Command{Args: append([]string{c.Python}, args...), Env: append(env, c.Env...)}, nil
}
