package cli_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"refit.dev/cli"
	"refit.dev/events"
)

func TestAFileThatCannotBeUploadedIsRefusedAtOnce(t *testing.T) {
	file := upload(t)
	folder := filepath.Join(t.TempDir(), "mails.parquet")
	require.NoError(t, os.Mkdir(folder, 0o700))
	for name, tc := range map[string]struct {
		args     []string
		wantCode int
		wantText string
	}{
		"a file that is not there": {[]string{"nowhere.parquet"}, cli.CodeError, "the upload nowhere.parquet cannot be opened: no such file or directory: name a parquet file that can be read"},
		"a folder":                 {[]string{folder}, cli.CodeUsage, "mails.parquet is a folder: accepted is one parquet file"},
		"a file of another kind":   {[]string{"mail.csv"}, cli.CodeUsage, "mail.csv does not end in .parquet, so it would start no run: accepted are parquet files"},
		"a key over two lines":     {[]string{file, "--key", "a\nb.parquet"}, cli.CodeUsage, `--key: parameter entity_data_path="a\nb.parquet": accepted is the key of an object in the landing bucket, 1 to 1024 bytes`},
		"a key of 1025 bytes":      {[]string{file, "--key", strings.Repeat("k", 1017) + ".parquet"}, cli.CodeUsage, "k… (1027 bytes): accepted is the key"},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			require.Equal(t, tc.wantCode, b.run(t, append([]string{"run"}, tc.args...)...))
			require.Contains(t, b.err.String(), tc.wantText)
			require.Less(t, b.err.Len(), 1000)
		})
	}
}

func TestRunFindsItsUploadByTheKeyAndNotByTheSubject(t *testing.T) {
	announced := landed(t, "mine", etag(t))
	announced.SetSubject("written otherwise")
	b := setup(t, announced, verdict(t, events.LandingRefused, "mine", events.Landing{Reason: "BadParameter", Message: "seed=x"}))
	require.Equal(t, cli.CodeRefused, b.run(t, "run", upload(t)))
	require.Contains(t, b.err.String(), "no run was started: BadParameter: seed=x")
}

func TestRunsTellsWhatBecameNoRun(t *testing.T) {
	refused := verdict(t, events.LandingRefused, "s3:1", events.Landing{URI: "s3://landing/a.parquet", Reason: "BadParameter", Message: `parameter seed="x": accepted is a whole number`})
	asked := verdict(t, events.LandingRefused, "id-7", events.Landing{Reason: "BadEvent", Message: "the data is [1]"})
	text := verdict(t, events.LandingFiltered, "s3:2", events.Landing{URI: "s3://landing/a.txt", Reason: "NotParquet", Message: "upload a parquet file"})
	folder := verdict(t, events.LandingFiltered, "s3:3", events.Landing{URI: "s3://landing/a/", Reason: "FolderMarker", Message: "a folder"})
	b := setup(t, append(wholeRun(t), refused, refused, asked, text, folder)...)
	require.Equal(t, cli.CodeOK, b.run(t, "runs"))
	require.Contains(t, b.out.String(), runA)
	require.Equal(t, `4 uploads and requests became no run, the latest of them:
  2026-11-23T06:00:01Z  s3://landing/a.parquet: BadParameter: parameter seed="x": accepted is a whole number
  2026-11-23T06:00:01Z  request id-7: BadEvent: the data is [1]
  2026-11-23T06:00:01Z  s3://landing/a.txt: NotParquet: upload a parquet file
`, b.err.String())
}

func TestSendSaysThatNothingComesOfAnUnknownType(t *testing.T) {
	url, got := broker(t, http.StatusAccepted)
	for kind, want := range map[string]string{
		"dev.refit.run.request":              `type "dev.refit.run.request" is none that refit knows: the journal keeps the event and nothing comes of it; dev.refit.run.requested asks for a run` + "\n",
		"dev.refit.run.requested":            "",
		"com.amazonaws.s3.ObjectCreated:Put": "",
	} {
		b := setup(t)
		require.Equal(t, cli.CodeOK, b.run(t, "send", "--to", url, "--type", kind))
		require.Equal(t, want, b.err.String())
	}
	require.Len(t, *got, 3, "it is sent all the same: a broker may have other readers")
}
