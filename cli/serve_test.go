package cli_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"os"

	"github.com/stretchr/testify/require"

	"refit.dev/cli"
	"refit.dev/platform/bus"
	"refit.dev/platform/journal"
	"refit.dev/platform/serve"
)

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

func TestServersNameTheSettingsThatAreMissing(t *testing.T) {
	for command, want := range map[string]string{
		"source":  "settings K_SINK, REFIT_S3_ENDPOINT, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, REFIT_NAMESPACE are missing",
		"journal": "settings REFIT_NATS_URL are missing",
		"objects": "settings AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, REFIT_NOTIFICATION_URL, REFIT_NOTIFICATION_TOKEN are missing",
		"nats":    "settings REFIT_NATS_TOKEN are missing",
	} {
		t.Run(command, func(t *testing.T) {
			b := setup(t)
			require.Equal(t, cli.CodeError, b.run(t, command))
			require.Contains(t, b.err.String(), want)
		})
	}
}

// answers waits until a GET of url is answered with a status.
func answers(t *testing.T, url string, want int) {
	t.Helper()
	require.Eventually(t, func() bool {
		response, err := http.Get(url)
		if err != nil {
			return false
		}
		defer response.Body.Close()
		return response.StatusCode == want
	}, 20*time.Second, 10*time.Millisecond)
}

// post sends an event to the journal and returns the status.
func post(t *testing.T, url, id string) int {
	t.Helper()
	body := `{"specversion":"1.0","type":"dev.refit.test","source":"/test","id":"` + id + `"}`
	response, err := http.Post(url, "application/cloudevents+json", strings.NewReader(body))
	require.NoError(t, err)
	defer response.Body.Close()
	return response.StatusCode
}

func TestTheJournalWaitsForNATSAndSurvivesItsLoss(t *testing.T) {
	address, natsAddress := freeAddress(t), freeAddress(t)
	_, port, err := net.SplitHostPort(natsAddress)
	require.NoError(t, err)
	signals := make(chan os.Signal, 1)
	b := setup(t)
	b.app.Signals = signals
	b.app.Getenv = func(name string) string {
		return map[string]string{"REFIT_NATS_URL": "nats://" + natsAddress, "REFIT_NATS_TOKEN": "very-secret"}[name]
	}
	done := make(chan int, 1)
	go func() { done <- b.run(t, "journal", "--listen", address) }()
	url := "http://" + address
	answers(t, url+serve.ReadinessPath, http.StatusServiceUnavailable)
	answers(t, url+serve.LivenessPath, http.StatusOK)
	require.Equal(t, http.StatusServiceUnavailable, post(t, url, "1"))

	// Each NATS begins with an empty store.
	for range 2 {
		stop := startNATS(t, port)
		answers(t, url+serve.ReadinessPath, http.StatusOK)
		require.Eventually(t, func() bool { return post(t, url, "2") == http.StatusAccepted }, 20*time.Second, 10*time.Millisecond)
		require.Equal(t, http.StatusAccepted, post(t, url+journal.DeadLetterPath, "3"))
		stop()
		answers(t, url+serve.ReadinessPath, http.StatusServiceUnavailable)
	}
	signals <- syscall.SIGTERM
	require.Equal(t, cli.CodeOK, <-done)
}

func startNATS(t *testing.T, port string) (stop func()) {
	t.Helper()
	number, err := net.LookupPort("tcp", port)
	require.NoError(t, err)
	n, err := bus.Start(context.Background(), bus.Config{Dir: t.TempDir(), Port: number, Token: "very-secret"})
	require.NoError(t, err)
	return func() { require.NoError(t, n.Close()) }
}

func TestDevelopmentNATSAndObjectsServeUntilTheEnd(t *testing.T) {
	for command, env := range map[string]map[string]string{
		"nats": {"REFIT_NATS_TOKEN": "very-secret"},
		"objects": {
			"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "very-secret", "REFIT_NOTIFICATION_URL": "http://127.0.0.1:1/notifications",
			"REFIT_NOTIFICATION_TOKEN": "very-secret",
		},
	} {
		t.Run(command, func(t *testing.T) {
			signals := make(chan os.Signal, 1)
			b := setup(t)
			b.app.Signals = signals
			b.app.Getenv = func(name string) string { return env[name] }
			health, done := freeAddress(t), make(chan int, 1)
			data := t.TempDir()
			go func() {
				done <- b.run(t, command, "--listen", "127.0.0.1:0", "--health", health, "--data", data)
			}()
			answers(t, "http://"+health+serve.ReadinessPath, http.StatusOK)
			signals <- syscall.SIGTERM
			require.Equal(t, cli.CodeOK, <-done)
		})
	}
}

func TestAnAddressThatIsNone(t *testing.T) {
	b := setup(t)
	b.app.Getenv = func(string) string { return "x" }
	require.Equal(t, cli.CodeError, b.run(t, "nats", "--listen", "4222"))
	require.Contains(t, b.err.String(), `address "4222": accepted is an address such as 0.0.0.0:4222`)
	require.Equal(t, cli.CodeError, b.run(t, "nats", "--listen", ":nats"))
	require.Contains(t, b.err.String(), `address ":nats": the port is no number`)
}
