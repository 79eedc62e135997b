package input_test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"refit.dev/cli"
	"refit.dev/test/platformtest"
)

// folder is a data folder with one file in it.
func folder(t *testing.T, name, content string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	return dir
}

func TestWrongConfigurationIsToldWithTheRemedy(t *testing.T) {
	address, err := url.Parse(shared.Connection().Broker)
	require.NoError(t, err)
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "nothing"))
	up := func(args ...string) []string { return append([]string{"up", "--source", platformtest.Root()}, args...) }
	for name, tc := range map[string]struct {
		dir  string
		args []string
		code int
		want []string
	}{
		"no platform":             {t.TempDir(), []string{"runs"}, cli.CodeError, []string{"no refit platform is running on", "start one with refit up"}},
		"a damaged connection":    {folder(t, "connection.json", "{"), []string{"runs"}, cli.CodeError, []string{"connection.json: unexpected end of JSON input: start refit up again"}},
		"damaged secrets":         {folder(t, "secrets.json", "{"), up(), cli.CodeError, []string{"secrets.json: unexpected end of JSON input: remove the file"}},
		"secrets without one":     {folder(t, "secrets.json", `{"access_key":"a"}`), up(), cli.CodeError, []string{"secrets.json: a secret is missing in it: remove the file"}},
		"a file for a folder":     {filepath.Join(folder(t, "file", ""), "file"), up(), cli.CodeError, []string{"make data folder: mkdir ", "not a directory"}},
		"a port in use":           {t.TempDir(), up("--port-broker", address.Port()), cli.CodeError, []string{"port " + address.Port() + " (broker)", fmt.Sprintf("held by process %d", os.Getpid()), "choose another port"}},
		"a port that is none":     {t.TempDir(), up("--port-s3", "65536"), cli.CodeUsage, []string{"--port-s3 65536: accepted is a port from 1 to 65535, or 0"}},
		"a folder without code":   {t.TempDir(), []string{"up", "--source", t.TempDir()}, cli.CodeError, []string{".venv/bin/python is missing: run make setup"}},
		"an address of the world": {t.TempDir(), up("--host", "0.0.0.0"), cli.CodeError, []string{`host "0.0.0.0": accepted is a loopback address such as 127.0.0.1`}},
		"a missing kubeconfig":    {t.TempDir(), []string{"runs", "--context", "nowhere"}, cli.CodeError, []string{"there is no context in ", "nothing: name a kubeconfig in KUBECONFIG"}},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, said := refitOn(t, tc.dir, tc.args...)
			require.Equal(t, tc.code, code, said)
			for _, want := range tc.want {
				require.Contains(t, said, want)
			}
			require.Empty(t, out)
		})
	}
	stillWorks(t, len(runs(t)))
}
