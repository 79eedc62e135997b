package e2e_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSecretsAreNowhereButInTheirFiles looks for the platform's credentials in
// everything that a run leaves: logs, events, results, what Ray and MLflow keep
// for their pages, and the arguments of processes.
func TestSecretsAreNowhereButInTheirFiles(t *testing.T) {
	firstRun(t)
	c := shared.Connection()
	secrets := map[string]string{"the store's key": c.S3.SecretKey, "the launcher's token": c.Launcher.Token, "the bus's token": c.NATS.Token}
	theirs := map[string]bool{"connection.json": true, "secrets.json": true}
	for _, folder := range []string{shared.Config.Dir, rayScratch(t)} {
		require.NoError(t, filepath.WalkDir(folder, func(path string, file fs.DirEntry, err error) error {
			if err != nil || !file.Type().IsRegular() || theirs[file.Name()] {
				return nil //nolint:nilerr // it went meanwhile
			}
			body, err := os.ReadFile(path)
			if err != nil {
				return nil //nolint:nilerr // as above
			}
			for what, secret := range secrets {
				require.False(t, bytes.Contains(body, []byte(secret)), "%s is in %s", what, path)
			}
			return nil
		}))
	}
	processes, err := exec.CommandContext(t.Context(), "ps", "-eo", "args=").Output()
	require.NoError(t, err)
	for what, secret := range secrets {
		require.NotContains(t, string(processes), secret, what)
	}
}

// rayScratch is where the head keeps its logs.
func rayScratch(t *testing.T) string {
	t.Helper()
	var record struct{ Scratch string }
	body, err := os.ReadFile(filepath.Join(shared.Config.Dir, "ray", "ray.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(body, &record))
	require.DirExists(t, record.Scratch)
	return record.Scratch
}
