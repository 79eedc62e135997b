package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Connection is how a client reaches a running platform. It holds credentials:
// the file is readable by its owner alone and never leaves the data folder.
type Connection struct {
	PID       int       `json:"pid"`
	StartedAt time.Time `json:"started_at"`
	S3        S3        `json:"s3"`
	NATS      Endpoint  `json:"nats"`
	// Broker is where events are posted, K_SINK.
	Broker   string   `json:"broker"`
	MLflow   string   `json:"mlflow"`
	Ray      Endpoint `json:"ray"`
	Launcher Endpoint `json:"launcher"`
}

// S3 is how to reach the object store.
type S3 struct {
	Endpoint  string `json:"endpoint"`
	Region    string `json:"region"`
	AccessKey string `json:"access_key"`
	SecretKey string `json:"secret_key"`
	// Landing and State are the buckets of uploads and of refit's own state.
	Landing string `json:"landing"`
	State   string `json:"state"`
}

// Endpoint is an address with the token that it asks for.
type Endpoint struct {
	URL   string `json:"url"`
	Token string `json:"token"`
}

// ErrNotRunning means that no platform runs on the data folder.
var ErrNotRunning = errors.New("no refit platform is running")

// ReadConnection reads how to reach the platform that runs on the data folder
// dir, or fails with ErrNotRunning.
func ReadConnection(dir string) (Connection, error) {
	var c Connection
	b, err := os.ReadFile(connectionFile(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return c, fmt.Errorf("%w on %s: start one with refit up", ErrNotRunning, dir)
	}
	if err != nil {
		return c, fmt.Errorf("read connection: %w", err)
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return c, fmt.Errorf("read connection %s: %w: start refit up again, which writes it anew", connectionFile(dir), err)
	}
	return c, nil
}

func (c Connection) write(dir string) error {
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("encode connection: %w", err)
	}
	next := connectionFile(dir) + ".next"
	if err := os.WriteFile(next, b, 0o600); err != nil {
		return fmt.Errorf("write connection: %w", err)
	}
	return os.Rename(next, connectionFile(dir))
}

func connectionFile(dir string) string { return filepath.Join(dir, "connection.json") }
