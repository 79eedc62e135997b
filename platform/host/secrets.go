package host

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// secrets are generated once for a data folder. Clients find them in the
// connection, which only the owner of the folder may read.
type secrets struct {
	AccessKey string `json:"access_key"`
	SecretKey string `json:"secret_key"`
	NATS      string `json:"nats"`
	Launcher  string `json:"launcher"`
}

func loadSecrets(dir string) (secrets, error) {
	var s secrets
	file := filepath.Join(dir, "secrets.json")
	b, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return newSecrets(file)
	case err != nil:
		return s, fmt.Errorf("read secrets: %w", err)
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("read secrets %s: %w: remove the file, and refit up makes new ones", file, err)
	}
	if s.AccessKey == "" || s.SecretKey == "" || s.NATS == "" || s.Launcher == "" {
		return s, fmt.Errorf("read secrets %s: a secret is missing in it: remove the file, and refit up makes new ones", file)
	}
	return s, nil
}

func newSecrets(file string) (secrets, error) {
	s := secrets{AccessKey: rand.Text()[:20], SecretKey: rand.Text(), NATS: rand.Text(), Launcher: rand.Text()}
	b, err := json.MarshalIndent(s, "", "  ") //nolint:gosec // the file of the secrets
	if err != nil {
		return s, fmt.Errorf("encode secrets: %w", err)
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		return s, fmt.Errorf("write secrets: %w", err)
	}
	return s, nil
}
