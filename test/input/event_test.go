package input_test

import (
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"refit.dev/cli"
	"refit.dev/events"
	"refit.dev/platform/journal"
)

const structured = "application/cloudevents+json"

// post sends a request to the broker, as any program may.
func post(t *testing.T, header map[string]string, body string) (status int, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, shared.Connection().Broker, strings.NewReader(body))
	require.NoError(t, err)
	for name, value := range header {
		r.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(answer)
}

// binary are the headers of an event in binary mode, with changes; an empty
// value takes a header out.
func binary(changes map[string]string) map[string]string {
	all := map[string]string{"Ce-Specversion": "1.0", "Ce-Id": uuid.NewString(), "Ce-Source": "/tests", "Ce-Type": string(events.RunRequested), "Content-Type": "application/json"}
	maps.Copy(all, changes)
	maps.DeleteFunc(all, func(_, value string) bool { return value == "" })
	return all
}

func TestWhatIsNoEventIsAnsweredWithTheReason(t *testing.T) {
	before := len(runs(t))
	for name, tc := range map[string]struct {
		header     map[string]string
		body       string
		wantStatus int
		wantText   string
	}{
		"of another version":             {binary(map[string]string{"Ce-Specversion": "2.0"}), `{}`, http.StatusBadRequest, `the header Ce-Specversion is "2.0": accepted is 1.0`},
		"of another version, structured": {map[string]string{"Content-Type": structured}, `{"specversion":"9.9","id":"1","source":"/s","type":"t"}`, http.StatusBadRequest, "unknown value: 9.9: it needs specversion 1.0"},
		"without id":                     {binary(map[string]string{"Ce-Id": ""}), `{}`, http.StatusBadRequest, "id: MUST be a non-empty string"},
		"without id, structured":         {map[string]string{"Content-Type": structured}, `{"specversion":"1.0","source":"/s","type":"t"}`, http.StatusBadRequest, "id: MUST be a non-empty string"},
		"of 5 MB":                        {binary(nil), `"` + strings.Repeat("x", 5<<20) + `"`, http.StatusRequestEntityTooLarge, "larger than 1047552 bytes: put the data into the object store and send its URI"},
		"a batch":                        {map[string]string{"Content-Type": "application/cloudevents-batch+json"}, `[]`, http.StatusBadRequest, "send one event a request, structured or binary"},
		"no event at all":                {map[string]string{"Content-Type": "application/json"}, `{}`, http.StatusBadRequest, "it needs the header Ce-Specversion (binary) or Content-Type"},
	} {
		t.Run(name, func(t *testing.T) {
			status, text := post(t, tc.header, tc.body)
			require.Equal(t, tc.wantStatus, status)
			require.Contains(t, text, tc.wantText)
		})
	}
	code, _, said := refit(t, "send", "--field", "x="+strings.Repeat("x", 2<<20))
	require.Equal(t, cli.CodeError, code)
	require.Contains(t, said, "413")
	stillWorks(t, before)
}

func TestAnEventThatFitsNowhereIsRefusedOrKept(t *testing.T) {
	before := len(runs(t))
	for name, tc := range map[string]struct {
		change map[string]string
		body   string
		want   string
	}{
		"of a run that nobody began": {map[string]string{"Ce-Type": string(events.Prepare.Completed()), "Ce-Subject": "r-none"}, `{}`, `names run "r-none", which does not exist: send dev.refit.run.requested to start one`},
		"an end of no workload":      {map[string]string{"Ce-Type": string(events.WorkloadEnded), "Ce-Stage": "prepare"}, `{}`, "missing properties 'run', 'stage', 'attempt'"},
		"a request without data":     {map[string]string{"Content-Type": ""}, "", "the data is missing: accepted is an object of parameters"},
		"an object that is none":     {map[string]string{"Ce-Type": events.ObjectCreatedPrefix + "Put"}, `{"a":1}`, `eventName "", bucket "" and key "": none of them may be empty`},
	} {
		t.Run(name, func(t *testing.T) {
			header := binary(tc.change)
			status, text := post(t, header, tc.body)
			require.Equal(t, http.StatusAccepted, status, text)
			require.Contains(t, refused(t, header["Ce-Id"]).Message, tc.want)
		})
	}
	code, id, said := refit(t, "send", "--type", "dev.refit.run.request")
	require.Equal(t, cli.CodeOK, code)
	require.Contains(t, said, `type "dev.refit.run.request" is none that refit knows`)
	kept := shared.Until(t, journal.Filter{}, func(e event.Event) bool { return e.ID() == strings.TrimSpace(id) })
	require.Equal(t, "dev.refit.run.request", kept.Type(), "nothing is lost")
	stillWorks(t, before)
}
