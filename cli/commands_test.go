package cli_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"refit.dev/cli"
	"refit.dev/events"
)

func TestHelp(t *testing.T) {
	for name, args := range map[string][]string{
		"refit": {"--help"}, "up": {"up", "--help"}, "run": {"run", "--help"}, "show": {"run", "show", "--help"}, "runs": {"runs", "--help"},
		"logs": {"logs", "--help"}, "send": {"send", "--help"}, "replay": {"replay", "--help"}, "doctor": {"doctor", "--help"}, "exit-codes": {"exit-codes", "--help"},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			require.Equal(t, cli.CodeOK, cli.Execute(t.Context(), b.app, args))
			golden(t, "help-"+name, b.out.String())
			require.Empty(t, b.err.String())
		})
	}
}

func TestRuns(t *testing.T) {
	list := append(wholeRun(t), runStarted(t, runB, uploadCause, nil), started(t, runB, events.Prepare, 1, 30))
	tests := map[string]struct {
		args     []string
		terminal bool
	}{
		"runs-terminal":   {[]string{"runs"}, true},
		"runs-tsv":        {[]string{"runs"}, false},
		"runs-registered": {[]string{"runs", "--state", "registered"}, false},
		"runs-limit":      {[]string{"runs", "--limit", "1"}, false},
		"runs-json":       {[]string{"runs", "--json"}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := setup(t, list...)
			b.app.OutTerminal = test.terminal
			require.Equal(t, cli.CodeOK, b.run(t, test.args...))
			golden(t, name, b.out.String())
		})
	}
}

func TestRunsWithoutAny(t *testing.T) {
	b := setup(t)
	require.Equal(t, cli.CodeOK, b.run(t, "runs"))
	require.Contains(t, b.err.String(), "refit run FILE")
	b = setup(t)
	require.Equal(t, cli.CodeOK, b.run(t, "runs", "--json"))
	require.JSONEq(t, "[]", b.out.String())
}

func TestRunShow(t *testing.T) {
	for name, terminal := range map[string]bool{"show-terminal": true, "show-pipe": false} {
		t.Run(name, func(t *testing.T) {
			b := setup(t, wholeRun(t)...)
			b.app.OutTerminal = terminal
			require.Equal(t, cli.CodeOK, b.run(t, "run", "show", "last"))
			golden(t, name, b.out.String())
		})
	}
}

func TestRunShowAsJSONHasTheEvents(t *testing.T) {
	b := setup(t, wholeRun(t)...)
	require.Equal(t, cli.CodeOK, b.run(t, "run", "show", "0a1b", "--json"))
	var got struct {
		Run    string           `json:"run"`
		State  string           `json:"state"`
		Events []map[string]any `json:"events"`
	}
	require.NoError(t, json.Unmarshal(b.out.Bytes(), &got))
	require.Equal(t, runA, got.Run)
	require.Equal(t, "registered", got.State)
	require.Len(t, got.Events, len(wholeRun(t)))
}

func TestLogs(t *testing.T) {
	b := setup(t, wholeRun(t)...)
	for _, key := range []string{"prepare/1", "features/1", "train/1", "train/2", "tune/1", "register/1"} {
		require.NoError(t, b.state.Put(t.Context(), "runs/"+runA+"/"+key+"/log.txt", []byte("log of "+key+"\n")))
	}
	require.Equal(t, cli.CodeOK, b.run(t, "logs", "last"))
	golden(t, "logs-all", b.out.String())
	for args, want := range map[string]string{
		"logs last train":             "log of train/2\n",
		"logs last train --attempt 1": "log of train/1\n",
		"logs last tune --json":       `{"run":"` + runA + `","stage":"tune","attempt":1,"log":"log of tune/1\n"}` + "\n",
	} {
		b.out.Reset()
		require.Equal(t, cli.CodeOK, b.run(t, strings.Fields(args)...))
		require.Equal(t, want, b.out.String())
	}
	require.Equal(t, cli.CodeError, b.run(t, "logs", "last", "train", "--attempt", "9"))
	require.Contains(t, b.err.String(), "has no log")
}

func TestUsage(t *testing.T) {
	tests := map[string]struct {
		args     string
		wantText string
	}{
		"an unknown command":            {"bogus", "unknown command"},
		"an unknown flag":               {"runs --bogus", "unknown flag: --bogus"},
		"too many arguments":            {"run a.parquet b.parquet", "accepts at most 1 arg"},
		"a state that is none":          {"runs --state done", "registered"},
		"a stage that is none":          {"logs last bogus", "prepare features train tune register"},
		"a stage to replay from":        {"replay last --from bogus", "prepare features train tune register"},
		"a setting without a value":     {"run --set seed", "name=value"},
		"a parameter that is none":      {"run --set sede=1", "num_hpo_trials"},
		"a value that is refused":       {"run --set f1_threshold=1.5", "a number from 0 to 1"},
		"a path among the parameters":   {"run --set entity_data_path=a.parquet", "--key"},
		"a file that is no parquet":     {"run mail.csv", "parquet"},
		"a way to find the platform":    {"run --platform maybe", "auto and running"},
		"a field without a value":       {"send --field a", "path=value"},
		"a field inside a value":        {"send --field a=1 --field a.b=2", "cannot have fields"},
		"following what starts no run":  {"send --type other --follow", "dev.refit.run.requested"},
		"an event without a source":     {"send --source= --to http://127.0.0.1:1", "source"},
		"a function of no stage":        {"up --functions-url bogus=http://x", "prepare features train tune register"},
		"a port that is none":           {"up --port-nats 65536", "--port-nats 65536: accepted is a port from 1 to 65535, or 0 for a free one"},
		"a deadline in the past":        {"up --deadline -5m", "--deadline -5m0s: accepted is a time above 0"},
		"part of an id that is several": {"run show r-2026", runB},
	}
	list := append(wholeRun(t), runStarted(t, runB, uploadCause, nil))
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := setup(t, list...)
			require.Equal(t, cli.CodeUsage, b.run(t, strings.Fields(test.args)...))
			require.Contains(t, b.err.String(), test.wantText)
			require.Empty(t, b.out.String())
		})
	}
}

func TestTheEnvironmentSetsFlags(t *testing.T) {
	b := setup(t)
	b.app.Getenv = func(name string) string { return map[string]string{"REFIT_CPUS": "many"}[name] }
	require.Equal(t, cli.CodeUsage, b.run(t, "up"))
	require.Contains(t, b.err.String(), `REFIT_CPUS="many"`)
}
