// Package registrytest holds the suite that a model registry passes, the real
// MLflow server and the Server of this package alike.
package registrytest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"refit.dev/functions/register/registry"
)

// Run checks the registry at url. source is the URI of a model that the
// registry knows, id the model's id, mlflowRun the run that logged it.
func Run(t *testing.T, url string, v registry.Version) {
	client, err := registry.New(map[string]string{registry.EnvURI: url})
	require.NoError(t, err)
	ctx := t.Context()

	version, err := client.Find(ctx, v.Model, v.Run)
	require.NoError(t, err)
	require.Empty(t, version, "nothing is registered yet")
	champion, err := client.Champion(ctx, v.Model)
	require.NoError(t, err)
	require.Empty(t, champion, "an unknown model has no champion")

	first, err := client.Create(ctx, v)
	require.NoError(t, err)
	require.Equal(t, "1", first)
	champion, err = client.Champion(ctx, v.Model)
	require.NoError(t, err)
	require.Empty(t, champion, "a model without alias has no champion")
	version, err = client.Find(ctx, v.Model, v.Run)
	require.NoError(t, err)
	require.Equal(t, first, version)

	other := v
	other.Run = v.Run + "-other"
	second, err := client.Create(ctx, other)
	require.NoError(t, err)
	require.Equal(t, "2", second, "a model that exists gets another version")
	for _, version := range []string{first, second} {
		require.NoError(t, client.SetAlias(ctx, v.Model, "champion", version))
		champion, err = client.Champion(ctx, v.Model)
		require.NoError(t, err)
		require.Equal(t, version, champion)
	}
	require.ErrorContains(t, client.SetAlias(ctx, v.Model, "champion", "99"), "MLflow answered")
}
