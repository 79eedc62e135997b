package e2e_test

import (
	"fmt"
	"net/url"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/functions/register/registry"
	"refit.dev/functions/register/registry/registrytest"
	"refit.dev/platform/host"
)

func TestTheRegistryOfMLflowKeepsTheContract(t *testing.T) {
	_, run := firstRun(t)
	f := run.Stage(events.Register).Figures
	registrytest.Run(t, shared.Connection().MLflow, registry.Version{
		Model: "conformance", Run: run.ID,
		Source: f["model_uri"].(string), ModelID: f["mlflow_model_id"].(string), MLflowRun: f["mlflow_run_id"].(string),
	})
}

func TestASecondPlatformOnTheFolderNamesTheFirst(t *testing.T) {
	_, err := host.Start(t.Context(), shared.Config)
	require.ErrorContains(t, err, fmt.Sprintf("is in use by process %d", os.Getpid()))
}

func TestAPlatformNamesWhoHoldsItsPort(t *testing.T) {
	address, err := url.Parse(shared.Connection().Broker)
	require.NoError(t, err)
	c := shared.Config
	c.Dir = t.TempDir()
	c.Ports.Broker, err = strconv.Atoi(address.Port())
	require.NoError(t, err)
	_, err = host.Start(t.Context(), c)
	require.ErrorContains(t, err, fmt.Sprintf("port %s (broker): %s is not free, it is held by process %d", address.Port(), address.Host, os.Getpid()))
}

func TestCredentialsAreForTheOwnerAlone(t *testing.T) {
	for _, file := range []string{"connection.json", "secrets.json"} {
		info, err := os.Stat(shared.Config.Dir + "/" + file)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), file)
	}
}

func TestAPlatformRefusesToListenToTheWorld(t *testing.T) {
	c := shared.Config
	c.Host = "0.0.0.0"
	_, err := host.Start(t.Context(), c)
	require.ErrorContains(t, err, `host "0.0.0.0": accepted is a loopback address`)
}
