// Package mlflow runs a real MLflow tracking server beside this program.
//
// The server keeps runs and models in a SQLite database and serves artifacts
// itself, so clients need no other address than [Server.URL]. MLflow asks
// nobody for a password (its basic-auth app is an extra that is not installed):
// it listens on the loopback interface alone and refuses foreign Host headers,
// but whoever can reach that interface can use it.
package mlflow

import (
	"context"
	_ "embed"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"refit.dev/platform/service"
)

// serve is the program: mlflow server on a database that is whole.
//
//go:embed serve.py
var serve string

// Config says how the server is run. Python and Dir are needed.
type Config struct {
	// Python is the interpreter, an absolute path, with mlflow installed.
	Python string
	// Dir is an absolute path: the folder for the database, the artifacts, the
	// record and the log.
	Dir string
	// Host is where to listen; empty means 127.0.0.1.
	Host string
	// Port is where to listen; 0 means 5000.
	Port int
	// EndLeftover ends a server of a run that crashed instead of going on with it.
	EndLeftover bool
	// Restarts is how often the server is started again when it dies; 0 means 5,
	// a negative number never.
	Restarts int
	// Logger gets what happens; nil discards it.
	Logger *slog.Logger
}

// Server is a running MLflow server.
type Server struct {
	*service.Service

	// URL is the tracking URI.
	URL string
}

// withDefaults returns a copy with the defaults filled in.
func (c Config) withDefaults() Config {
	if c.Host == "" {
		c.Host = "127.0.0.1"
	}
	if c.Port == 0 {
		c.Port = 5000
	}
	return c
}

// validate says what is wrong.
func (c Config) validate() error {
	if !filepath.IsAbs(c.Python) || !filepath.IsAbs(c.Dir) {
		return fmt.Errorf("mlflow: Python %q and Dir %q must be absolute paths", c.Python, c.Dir)
	}
	return nil
}

// Start starts the server and returns before it answers: Ready waits for that.
// A server that is left over from a crash is taken over if its settings are the
// same and ended otherwise.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	address := net.JoinHostPort(cfg.Host, strconv.Itoa(cfg.Port))
	url := "http://" + address
	identity := url + " " + cfg.Python
	if cfg.EndLeftover {
		identity = ""
	}
	s, err := service.Start(ctx, service.Config{
		Name: "mlflow", Dir: cfg.Dir, Identity: identity, Command: cfg.command,
		Addresses: []string{address}, Check: service.Answers(url+"/health", ""),
		Grace: 5 * time.Second, Restarts: cfg.Restarts, Logger: cfg.Logger,
	})
	if err != nil {
		return nil, err
	}
	return &Server{Service: s, URL: url}, nil
}

// command is the command line. One worker is enough for one machine, and two
// would each take 200 MB. Without MLflow's job execution it starts in half the
// time and leaves no orphans.
func (c Config) command(scratch string) (service.Command, error) {
	database := filepath.Join(c.Dir, "mlflow.db")
	return service.Command{
		Args: []string{
			c.Python, "-c", serve, database, "server",
			"--backend-store-uri", "sqlite:///" + database,
			"--artifacts-destination", filepath.Join(c.Dir, "artifacts"),
			"--host", c.Host, "--port", strconv.Itoa(c.Port), "--workers", "1",
		},
		Env: []string{
			"PATH=" + filepath.Dir(c.Python) + string(os.PathListSeparator) + os.Getenv("PATH"),
			"HOME=" + scratch, "TMPDIR=" + scratch, "LANG=C.UTF-8",
			"MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false",
			"MLFLOW_DISABLE_TELEMETRY=true", "DO_NOT_TRACK=true",
			"GIT_PYTHON_REFRESH=quiet",
		},
	}, nil
}
