package images_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// functionLimit is how large the files of a function's image may be, unpacked.
const functionLimit = 25_000_000

func TestAnImageSaysWhatItIsAndRunsAsNobody(t *testing.T) {
	for _, name := range slices.Concat([]string{"refit"}, stages, workloads) {
		t.Run(name, func(t *testing.T) {
			i := inspect(t, name)
			require.Equal(t, "65532:65532", i.Config.User)
			revision := i.Config.Labels["org.opencontainers.image.revision"]
			require.Regexp(t, `^[0-9a-f]{40}(-dirty)?$`, revision)
			require.Subset(t, i.Config.Labels, map[string]string{
				"org.opencontainers.image.title":    "refit " + name,
				"org.opencontainers.image.version":  tag(),
				"org.opencontainers.image.source":   "https://refit.dev",
				"org.opencontainers.image.licenses": "Apache-2.0",
			})
			if name != "refit" {
				require.Contains(t, i.Config.Env, "REFIT_COMMIT="+revision, "a run keeps the commit that made it")
			}
		})
	}
}

func TestAFunctionsImageIsItsBinaryAndCertificates(t *testing.T) {
	for _, name := range stages {
		t.Run(name, func(t *testing.T) {
			i := inspect(t, name)
			require.Equal(t, []string{"/function"}, i.Config.Entrypoint)
			content := i.content(t)
			require.Len(t, content, 2)
			require.Positive(t, content["/etc/ssl/certs/ca-certificates.crt"])
			size := content["/function"] + content["/etc/ssl/certs/ca-certificates.crt"]
			t.Logf("%.1f MB", float64(size)/1e6)
			require.LessOrEqual(t, size, int64(functionLimit))
		})
	}
}

func TestAFunctionNamesTheSettingsItLacks(t *testing.T) {
	for _, name := range stages {
		t.Run(name, func(t *testing.T) {
			out, code := inspect(t, name).run(t.Context(), t, nil)
			require.Equal(t, 1, code, out)
			require.Contains(t, out, "start function "+name+": settings K_SINK")
		})
	}
}

func TestTheCommandAndTheSourceRunFromOneImage(t *testing.T) {
	i := inspect(t, "refit")
	require.Equal(t, []string{"/refit"}, i.Config.Entrypoint)
	files := slices.Sorted(maps.Keys(i.content(t)))
	require.Equal(t, []string{"/etc/ssl/certs/ca-certificates.crt", "/refit", "/refit-source"}, files)
	out, code := i.run(t.Context(), t, nil, "--help")
	require.Zero(t, code, out)
	require.Contains(t, out, "refit run")
	out, code = i.run(t.Context(), t, []string{"--entrypoint", "/refit-source"})
	require.NotZero(t, code, out)
	require.Contains(t, out, "K_SINK")
}
