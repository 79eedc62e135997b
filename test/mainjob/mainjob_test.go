// Package mainjob_test runs the README's main job as a user does, from the
// binary, and then asks MLflow for the version and serves it.
package mainjob_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refit.dev/cli"
	"refit.dev/events"
	"refit.dev/platform/host"
	"refit.dev/platform/journal"
	"refit.dev/platform/service"
	"refit.dev/test/platformtest"
)

// spam and ham are mails as they come over the wire.
const (
	spam = "From: Winner <cash@quick-money.example>\r\nTo: you@example.org\r\nSubject: FREE!!! You WON $1,000,000 CASH\r\n" +
		"Date: Mon, 22 Jul 2002 03:10:00 +0000\r\nContent-Type: text/html\r\n\r\n" +
		"<html><body><h1>CONGRATULATIONS!!!</h1><a href=http://click.example/win>CLICK HERE</a> to claim your FREE money now. " +
		"Act now! Limited time offer, 100% guaranteed, no risk. <a href=http://click.example/out>unsubscribe</a></body></html>\r\n"
	ham = "From: Ann <ann@lists.example>\r\nTo: dev@lists.example\r\nSubject: Re: [Dev] build fails with gcc 3.1\r\n" +
		"Date: Tue, 23 Jul 2002 14:10:00 +0100\r\nIn-Reply-To: <1@lists.example>\r\nContent-Type: text/plain\r\n\r\n" +
		"On Tue, Bob wrote:\r\n> the build fails for me since the last commit\r\n\r\nI think you need to run autoconf again. " +
		"It works here with 2.53, see the thread of last week.\r\n\r\nAnn\r\n"
)

func TestTheDefaultDataBecomesAServedModel(t *testing.T) {
	dir := t.TempDir()
	view := mainJob(t, dir)
	require.Equal(t, journal.Registered, view.State, view.Reason)
	require.GreaterOrEqual(t, view.Model.F1, 0.94)
	require.Equal(t, "spam-detector", view.Model.Name)

	platform := platformtest.Up(t, dir)
	c := platform.Connection()
	require.Eventually(t, func() bool { return get(c.MLflow+"/health") == nil }, 2*time.Minute, 100*time.Millisecond, "MLflow does not come up")
	versionIsRegistered(t, c, view)
	probabilities, labels := serve(t, c, spam, ham)
	require.Equal(t, []string{"spam", "ham"}, labels)
	require.Greater(t, probabilities[0], probabilities[1])
	replayIsRejected(t, dir, view)
	platform.Interrupt()
	require.Empty(t, platformtest.Leftovers(t, dir), "Ctrl-C leaves no orphan")
}

// mainJob runs refit run on the default data and returns its last word.
func mainJob(t *testing.T, dir string) journal.RunView {
	t.Helper()
	command := platformtest.Refit(t, dir, "run", "--json")
	command.Stderr = os.Stderr
	out, err := command.Output()
	require.NoError(t, err, "a registered model exits 0")
	_, err = host.ReadConnection(dir)
	require.ErrorIs(t, err, host.ErrNotRunning, "the platform ended with the run")
	require.Empty(t, platformtest.Leftovers(t, dir), "and left no process")
	return summary(t, out)
}

// replayIsRejected asks for the same run again with a gate that it cannot pass;
// the binary reads the old run from JetStream and exits with 3.
func replayIsRejected(t *testing.T, dir string, view journal.RunView) {
	t.Helper()
	command := platformtest.Refit(t, dir, "replay", view.ID, "--from", "register", "--set", "f1_threshold=0.999", "--json")
	command.Stderr = os.Stderr
	out, err := command.Output()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, cli.CodeRejected, exit.ExitCode())
	replayed := summary(t, out)
	require.Equal(t, journal.Rejected, replayed.State)
	require.Equal(t, view.ID, replayed.Replay.Run)
	require.Equal(t, journal.Inherited, replayed.Stage(events.Tune).State)
}

// summary is the last word of a command that follows a run.
func summary(t *testing.T, out []byte) journal.RunView {
	t.Helper()
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	var last struct{ Summary journal.RunView }
	require.NoError(t, json.Unmarshal(lines[len(lines)-1], &last))
	return last.Summary
}

func versionIsRegistered(t *testing.T, c host.Connection, view journal.RunView) {
	t.Helper()
	var found struct {
		Version struct {
			Version, Source string
			Tags            []struct{ Key, Value string }
		} `json:"model_version"`
	}
	query := url.Values{"name": {view.Model.Name}, "version": {view.Model.Version}}
	response, err := http.Get(c.MLflow + "/api/2.0/mlflow/model-versions/get?" + query.Encode())
	require.NoError(t, err)
	defer response.Body.Close()
	require.NoError(t, json.NewDecoder(response.Body).Decode(&found))
	require.Equal(t, view.Model.Version, found.Version.Version)
	tags := map[string]string{}
	for _, tag := range found.Version.Tags {
		tags[tag.Key] = tag.Value
	}
	require.Equal(t, view.ID, tags["refit.run"])
	require.Equal(t, strconv.FormatFloat(view.Model.F1, 'f', 4, 64), tags["refit.f1"])
	require.NotEmpty(t, tags["refit.data_digest"])
	require.NotEmpty(t, tags["refit.commit"])
}

// serve runs mlflow models serve on the champion and asks it about raw mails.
func serve(t *testing.T, c host.Connection, mails ...string) (probabilities []float64, labels []string) {
	t.Helper()
	port, err := service.FreePort("127.0.0.1")
	require.NoError(t, err)
	python := filepath.Join(platformtest.Root(), ".venv/bin")
	command := exec.CommandContext(t.Context(), filepath.Join(python, "mlflow"), "models", "serve",
		"-m", "models:/spam-detector@champion", "--env-manager", "local", "-h", "127.0.0.1", "-p", strconv.Itoa(port))
	command.Env = append(os.Environ(), "MLFLOW_TRACKING_URI="+c.MLflow, "PATH="+python+":"+os.Getenv("PATH"))
	command.Stderr = os.Stderr
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 20 * time.Second
	require.NoError(t, command.Start())
	t.Cleanup(func() { _ = command.Wait() }) // interrupted by the test's context
	address := "http://127.0.0.1:" + strconv.Itoa(port)
	require.Eventually(t, func() bool { return get(address+"/ping") == nil }, 2*time.Minute, 200*time.Millisecond, "the model is not served")
	return predict(t, address, mails)
}

func predict(t *testing.T, address string, mails []string) (probabilities []float64, labels []string) {
	t.Helper()
	var rows [][]string
	for _, mail := range mails {
		rows = append(rows, []string{mail})
	}
	body, err := json.Marshal(map[string]any{"dataframe_split": map[string]any{"columns": []string{"raw"}, "data": rows}})
	require.NoError(t, err)
	response, err := http.Post(address+"/invocations", "application/json", bytes.NewReader(body))
	require.NoError(t, err)
	defer response.Body.Close()
	var answer struct {
		Predictions []struct {
			Probability float64
			Label       string
		}
	}
	require.NoError(t, json.NewDecoder(response.Body).Decode(&answer))
	for _, p := range answer.Predictions {
		probabilities = append(probabilities, p.Probability)
		labels = append(labels, p.Label)
	}
	return probabilities, labels
}

func get(address string) error {
	response, err := http.Get(address)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", address, response.Status)
	}
	return nil
}
