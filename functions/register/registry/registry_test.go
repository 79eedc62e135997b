package registry_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"refit.dev/functions/register/registry"
	"refit.dev/functions/register/registry/registrytest"
)

func TestServer(t *testing.T) {
	s := registrytest.NewServer()
	t.Cleanup(s.Close)
	registrytest.Run(t, s.URL, registry.Version{Model: "spam", Source: "models:/m-1", ModelID: "m-1", MLflowRun: "a", Run: "r"})
}

func TestNewRefusesAnAddressThatIsNone(t *testing.T) {
	_, err := registry.New(map[string]string{registry.EnvURI: "nowhere"})
	require.ErrorContains(t, err, `MLFLOW_TRACKING_URI="nowhere"`)
}
