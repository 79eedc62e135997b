package cluster_test

import (
	"encoding/json"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/platform/journal"
	"refit.dev/test/clustertest"
)

// TestARequestInAnyonesFormStartsARun sends what others' tools send, byte for
// byte as they do.
func TestARequestInAnyonesFormStartsARun(t *testing.T) {
	t.Parallel()
	p := quick.on(t)
	key := uploaded(t, p)
	for name, send := range map[string]func(t *testing.T, broker, id, data string){
		"kn event send":     knEventSend,
		"curl, binary":      curlBinary,
		"curl, structured":  curlStructured,
		"curl, with header": curlWithParameters,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id := uuid.NewString()
			data, err := json.Marshal(map[string]any{"entity_data_path": key, "f1_threshold": "0.75", "num_hpo_trials": 3})
			require.NoError(t, err)
			send(t, p.Connection().Broker, id, string(data))
			run := p.Started(t, id)
			view := p.Ended(t, run)
			require.Equal(t, journal.Rejected, view.State, view.Reason)
			require.InDelta(t, 0.75, view.Parameters.F1Threshold, 0, "a number written as a string, as kn sends it")
			require.Equal(t, id, view.Cause.ID)
		})
	}
}

// uploaded is the key of an object in the landing bucket.
func uploaded(t *testing.T, p *clustertest.Install) string {
	t.Helper()
	key := "wire-" + uuid.NewString() + ".parquet"
	p.Put(t, key, "stand-in", nil)
	return key
}

// knEventSend makes the request that kn event send makes of
//
//	kn event send --to Broker:eventing.knative.dev/v1:refit --type T --id I --field f1_threshold=0.75 …
//
// It has no subject and no extensions; 0.75 is a string in it.
func knEventSend(t *testing.T, broker, id, data string) {
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, broker, strings.NewReader(data))
	require.NoError(t, err)
	request.Header = http.Header{
		"Ce-Id":          {id},
		"Ce-Source":      {"kn-event/v1.22.0"},
		"Ce-Specversion": {"1.0"},
		"Ce-Time":        {time.Now().UTC().Format(time.RFC3339Nano)},
		"Ce-Type":        {string(events.RunRequested)},
		"Content-Type":   {"application/json"},
		"User-Agent":     {"Go-http-client/1.1"},
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusAccepted, response.StatusCode)
}

func curlBinary(t *testing.T, broker, id, data string) {
	curl(t, broker, "-H", "Ce-Specversion: 1.0", "-H", "Ce-Type: "+string(events.RunRequested), "-H", "Ce-Source: /curl", "-H", "Ce-Id: "+id,
		"-H", "Content-Type: application/json", "-d", data)
}

// curlWithParameters says in the content type what JSON is without it.
func curlWithParameters(t *testing.T, broker, id, data string) {
	curl(t, broker, "-H", "ce-specversion: 1.0", "-H", "ce-type: "+string(events.RunRequested), "-H", "ce-source: https://example.com/people/Ada", "-H", "ce-id: "+id,
		"-H", "content-type: application/json; charset=utf-8", "--data-binary", data)
}

func curlStructured(t *testing.T, broker, id, data string) {
	curl(t, broker, "-H", "Content-Type: application/cloudevents+json",
		"-d", `{"specversion":"1.0","type":"`+string(events.RunRequested)+`","source":"/curl","id":"`+id+`","datacontenttype":"application/json","data":`+data+`}`)
}

func curl(t *testing.T, broker string, args ...string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "curl", append([]string{"-sS", "--fail-with-body", "-X", "POST", broker}, args...)...).CombinedOutput()
	require.NoError(t, err, string(out))
}
