package input_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"refit.dev/cli"
	"refit.dev/events"
	"refit.dev/platform/journal"
	"refit.dev/stage/store"
)

func TestAFileThatCannotBeUsedFailsItsRunWithTheReason(t *testing.T) {
	before := len(runs(t))
	wants := map[string]string{
		"csv":       "files/csv.parquet is not a whole parquet file: Parquet magic bytes not found",
		"truncated": "files/truncated.parquet is not a whole parquet file",
		"empty":     "Parquet file size is 0 bytes; accepted is a parquet file with a column label",
		"norows":    "files/norows.parquet has 0 rows; upload a file with mail, ham and spam",
		"oneclass":  "files/oneclass.parquet has 200 spam and 0 ham, 0 rows have no label; a filter learns from both: upload a file with mail of each",
		"nolabel":   "files/nolabel.parquet has no column label, it has: raw, class; accepted is a parquet file",
		"labels":    "has unknown values: 'junk' (100 rows); accepted are ham, spam, 0, 1: write one of these into each row",
		"nomail":    "has no column with mail, it has: subject, label; accepted is a parquet file",
	}
	ids, keys := map[string]string{}, []string{}
	for name := range wants {
		key := "files/" + name + ".parquet"
		ids[name] = shared.Upload(t, key, file(t, name), nil).ID()
		keys = append(keys, key)
	}
	for name, want := range wants {
		t.Run(name, func(t *testing.T) {
			run := shared.Ended(t, shared.Started(t, ids[name]))
			require.Equal(t, journal.Failed, run.State)
			require.Equal(t, "BadInput", run.Stage(events.Prepare).Reason)
			require.Contains(t, run.Stage(events.Prepare).Message, want)
			require.Equal(t, []string{run.ID + "-prepare-1"}, shared.Launched(t, run.ID), "what cannot succeed is not tried again")

			_, list, _ := refit(t, "runs", "--state", "failed", "--limit", "0")
			require.Contains(t, list, run.ID+"\tfailed\tprepare")
			code, shown, _ := refit(t, "run", "show", run.ID)
			require.Equal(t, cli.CodeOK, code)
			require.Contains(t, shown, want)
			_, log, _ := refit(t, "logs", run.ID, "prepare")
			require.Contains(t, log, want)
		})
	}
	stillWorks(t, before, keys...)
}

func TestRunTellsWhyAFileCannotBeUsed(t *testing.T) {
	code, _, said := refit(t, "run", file(t, "labels"), "--key", "told.parquet", "--platform", "running")
	require.Equal(t, cli.CodeFailed, code)
	require.Contains(t, said, "failed: BadInput: column label of told.parquet has unknown values: 'junk' (100 rows); accepted are ham, spam, 0, 1")
}

func TestOddRowsAreDroppedCountedAndListed(t *testing.T) {
	announced := shared.Upload(t, "odd.parquet", file(t, "odd"), nil)
	run := shared.Started(t, announced.ID())
	done := prepared(t, run)
	require.EqualValues(t, 207, done.Figures["rows"])
	require.EqualValues(t, 203, done.Figures["kept"])
	require.Equal(t, map[string]any{"empty": 2.0, "undated": 2.0}, done.Figures["drops"])

	c := shared.Connection().S3
	state := store.NewS3(store.S3Config{Endpoint: c.Endpoint, Region: c.Region, AccessKey: c.AccessKey, SecretKey: c.SecretKey}.Client(), c.State)
	object, err := state.Get(t.Context(), "runs/"+run+"/prepare/1/report.json")
	require.NoError(t, err)
	var report struct {
		Dropped map[string][]struct {
			Row     int    `json:"row"`
			EmailID string `json:"email_id"`
		} `json:"dropped"`
		Renamed int `json:"renamed_ids"`
	}
	require.NoError(t, json.Unmarshal(object.Body, &report))
	require.Equal(t, 100, report.Renamed, "each second id stood twice")
	listed := map[string]int{}
	for _, rows := range report.Dropped {
		for _, row := range rows {
			listed[row.EmailID] = row.Row
		}
	}
	require.Equal(t, map[string]int{"null": 200, "null again": 201, "year 0": 202, "year 9999": 203}, listed)
	_, shown, _ := refit(t, "run", "show", run)
	require.Contains(t, shown, "203 mails, 4 dropped")
}
