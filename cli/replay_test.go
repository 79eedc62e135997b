package cli_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"refit.dev/cli"
	"refit.dev/events"
)

func TestReplayAsksForARun(t *testing.T) {
	url, got := broker(t, http.StatusAccepted)
	list := append(wholeRun(t),
		runStarted(t, runB, events.Cause{Type: string(events.RunRequested), Source: events.CLISource, ID: "id-1"}, &events.Replay{Run: runA, From: events.Register}),
		completed(t, runB, events.Tune, 1, 2, 112.5, events.Figures{"f1": 0.9752}),
		started(t, runB, events.Register, 1, 3), decided(t, runB, events.ModelRejected, 30))
	b := setup(t, list...)
	b.broker = url
	require.Equal(t, cli.CodeRejected, b.run(t, "replay", runA, "--from", "register", "--set", "f1_threshold=0.999"), b.err.String())
	require.Len(t, *got, 1)
	r := (*got)[0]
	require.Equal(t, "dev.refit.run.requested", r.header.Get("Ce-Type"))
	require.Equal(t, "/refit/cli", r.header.Get("Ce-Source"))
	require.Equal(t, "id-1", r.header.Get("Ce-Id"))
	require.Equal(t, runA, r.header.Get("Ce-Replayof"))
	require.JSONEq(t, `{"replay":{"run":"`+runA+`","from":"register"},"f1_threshold":"0.999"}`, r.body)
	golden(t, "replay", "--- stderr\n"+b.err.String()+"--- stdout\n"+b.out.String())
}

func TestReplayRefusesWhatCannotBe(t *testing.T) {
	whole := wholeRun(t)
	tests := map[string]struct {
		events   []event.Event
		args     string
		wantCode int
		wantText string
	}{
		"a run that is not there":           {nil, "replay r-x", cli.CodeError, "there are no runs"},
		"another id":                        {whole, "replay r-x", cli.CodeError, "refit runs lists them"},
		"a stage whose forerunner failed":   {append(whole[:4:4], failed(t, runA, events.Features, events.Features.Failed(), 20)), "replay last --from train", cli.CodeRefused, "replay it from features"},
		"a stage whose forerunner is going": {whole[:4], "replay last --from tune", cli.CodeRefused, "features is running"},
		"a parameter of a stage before":     {whole, "replay last --from register --set seed=7", cli.CodeRefused, "replay --from prepare"},
		"other data":                        {whole, "replay last --set entity_data_path=a.parquet", cli.CodeRefused, "refit send"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			url, got := broker(t, http.StatusAccepted)
			b := setup(t, test.events...)
			b.broker = url
			require.Equal(t, test.wantCode, b.run(t, strings.Fields(test.args)...))
			require.Contains(t, b.err.String(), test.wantText)
			require.Empty(t, *got, "nothing is sent")
		})
	}
}
