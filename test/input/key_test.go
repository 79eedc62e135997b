package input_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"refit.dev/events"
)

func TestKeysOfAllLettersReachTheWorkload(t *testing.T) {
	before := len(runs(t))
	part := strings.Repeat("k", 250) + "/"
	keys := []string{
		"keys/with a space.parquet", "keys/a+b.parquet", "keys/100%.parquet", "keys/%2F%20.parquet", "keys/größe/日本語 🚀.parquet",
		"keys/?x=1&y#z;@'\".PARQUET", strings.Repeat(part, 4) + strings.Repeat("k", 12) + ".parquet",
	}
	require.Len(t, keys[len(keys)-1], 1024)
	ids := make([]string, len(keys))
	for i, key := range keys {
		ids[i] = shared.Upload(t, key, file(t, "good"), nil).ID()
	}
	for i, key := range keys {
		run := shared.Started(t, ids[i])
		require.EqualValues(t, 200, prepared(t, run).Figures["rows"], key)
		_, shown, _ := refit(t, "run", "show", run)
		require.Contains(t, shown, "entity_data_path\t"+key+"\n")
	}
	stillWorks(t, before, keys...)
}

func TestAKeyThatNoFileCanHaveIsRefusedAtTheUpload(t *testing.T) {
	before := len(runs(t))
	good, err := os.ReadFile(file(t, "good"))
	require.NoError(t, err)
	first := shared.Upload(t, "beside/a.parquet", file(t, "good"), nil)
	for key, want := range map[string]string{
		"beside/a.parquet/b.parquet":           `ObjectParentIsFile: key "beside/a.parquet/b.parquet": the part before one of its slashes is an object`,
		"beside":                               `ExistingObjectIsDirectory: key "beside": other objects stand below it`,
		"beside//a.parquet":                    `key "beside//a.parquet": between its slashes is the part ""`,
		"beside/a\nb.parquet":                  "it holds control characters",
		strings.Repeat("k", 256) + ".parquet":  "a part of 264 bytes",
		strings.Repeat("k/", 510) + ".parquet": "it has 1028 bytes: accepted are 1 to 1024",
	} {
		require.ErrorContains(t, put(t, key, good), want)
	}
	code, _, said := refit(t, "run", file(t, "good"), "--key", "beside/a.parquet/b.parquet", "--platform", "running")
	require.Equal(t, 1, code)
	require.Contains(t, said, "choose another key or delete that object first")
	require.EqualValues(t, 200, prepared(t, shared.Started(t, first.ID())).Figures["rows"], "what was there is as it was")
	stillWorks(t, before, "beside/a.parquet")
}

func TestAFolderMarkerAndOtherFilesStartNothing(t *testing.T) {
	before := len(runs(t))
	empty := file(t, "empty")
	for key, want := range map[string]events.Landing{
		"marker/":          {URI: "s3://landing/marker/", Reason: "FolderMarker", Message: `key "marker/" is a folder: upload a parquet file into it`},
		"marker/notes.txt": {URI: "s3://landing/marker/notes.txt", Reason: "NotParquet", Message: `key "marker/notes.txt" does not end in .parquet: upload a parquet file`},
	} {
		verdict := shared.CausedBy(t, shared.Upload(t, key, empty, nil).ID())
		require.Equal(t, string(events.LandingFiltered), verdict.Type())
		require.Equal(t, want, landing(t, verdict))
	}
	_, _, said := refit(t, "runs")
	require.Contains(t, said, `s3://landing/marker/notes.txt: NotParquet: key "marker/notes.txt" does not end in .parquet`)
	stillWorks(t, before)
}
