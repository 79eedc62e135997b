package broker_test

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/stretchr/testify/require"

	"refit.dev/platform/broker"
)

const path = "/default/refit"

func ingress(t *testing.T) (b *broker.Broker, url string, w *service, stopStore func()) {
	t.Helper()
	w = newService(t, taken)
	bus := startBus(t, t.TempDir())
	b = newBroker(t, config(bus, manifests(t, triggerYAML("work")), map[string]*service{"work": w}))
	server := httptest.NewServer(b)
	t.Cleanup(server.Close)
	return b, server.URL, w, func() { require.NoError(t, bus.Close()) }
}

func TestIngressTakesBinaryAndStructured(t *testing.T) {
	for name, encoding := range map[string]func(*testing.T) cloudevents.Event{
		"binary":     func(*testing.T) cloudevents.Event { return newEvent("binary") },
		"structured": func(*testing.T) cloudevents.Event { return newEvent("structured") },
	} {
		t.Run(name, func(t *testing.T) {
			b, url, w, _ := ingress(t)
			run(t, b)
			client, err := cloudevents.NewClientHTTP(cloudevents.WithTarget(url + path))
			require.NoError(t, err)
			ctx := t.Context()
			if name == "structured" {
				ctx = binding.WithForceStructured(ctx)
			}
			require.True(t, cloudevents.IsACK(client.Send(ctx, encoding(t))))
			require.Equal(t, name, w.next(t).event.ID())
		})
	}
}

func TestIngressAnswers(t *testing.T) {
	const structured = "application/cloudevents+json"
	head := map[string]string{"Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Source": "/s", "Ce-Type": "t", "Content-Type": "application/json"}
	without := func(names ...string) map[string]string {
		rest := maps.Clone(head)
		for _, name := range names {
			delete(rest, name)
		}
		return rest
	}
	other := maps.Clone(head)
	other["Ce-Specversion"] = "2.0"
	tests := map[string]struct {
		method, path string
		header       map[string]string
		body         string
		wantStatus   int
		wantText     string
	}{
		"a binary event":              {header: head, body: `{}`, wantStatus: 202},
		"a binary event without data": {header: without("Content-Type"), wantStatus: 202},
		"a structured event":          {header: map[string]string{"Content-Type": structured}, body: `{"specversion":"1.0","id":"1","source":"/s","type":"t"}`, wantStatus: 202},
		"another method":              {method: http.MethodGet, wantStatus: 405, wantText: "taken by POST"},
		"another broker":              {path: "/default/other", header: head, wantStatus: 404, wantText: "events are taken at /default/refit"},
		"no event":                    {header: map[string]string{"Content-Type": "application/json"}, body: `{"a":1}`, wantStatus: 400, wantText: `needs the header Ce-Specversion (binary) or Content-Type application/cloudevents+json (structured, found "application/json")`},
		"a batch":                     {header: map[string]string{"Content-Type": "application/cloudevents-batch+json"}, body: `[]`, wantStatus: 400, wantText: "batches are not taken"},
		"an event without id":         {header: without("Ce-Id"), body: `{}`, wantStatus: 400, wantText: "id: MUST be a non-empty string"},
		"an event without type":       {header: without("Ce-Type"), body: `{}`, wantStatus: 400, wantText: "type: MUST be a non-empty string"},
		"an event of another version": {header: map[string]string{"Content-Type": structured}, body: `{"specversion":"9.9","id":"1","source":"/s","type":"t"}`, wantStatus: 400, wantText: "specversion: unknown value: 9.9: it needs specversion 1.0, id, source and type"},
		"a header of another version": {header: other, body: `{}`, wantStatus: 400, wantText: `the header Ce-Specversion is "2.0": accepted is 1.0`},
		"a structured non-event":      {header: map[string]string{"Content-Type": structured}, body: `{"specversion":`, wantStatus: 400, wantText: "cannot be read as a CloudEvent"},
		"data that is not JSON":       {header: head, body: `{"a":`, wantStatus: 400, wantText: "is not JSON"},
		"a control character":         {header: map[string]string{"Content-Type": structured}, body: `{"specversion":"1.0","id":"1","source":"/s","type":"t","subject":"a\nb"}`, wantStatus: 400, wantText: "its attribute subject has a control character"},
		"an event of 5 MB":            {header: head, body: `"` + strings.Repeat("x", 5<<20) + `"`, wantStatus: 413, wantText: "send its URI"},
		"an event just too large":     {header: head, body: `"` + strings.Repeat("x", 1<<20-1<<10-100) + `"`, wantStatus: 413, wantText: "send its URI"},
		"a large event":               {header: head, body: `"` + strings.Repeat("x", 1<<20-1<<10-200) + `"`, wantStatus: 202},
	}
	_, url, _, _ := ingress(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.method == "" {
				test.method = http.MethodPost
			}
			if test.path == "" {
				test.path = path
			}
			status, text := post(t, test.method, url+test.path, test.header, test.body)
			require.Equal(t, test.wantStatus, status, text)
			require.Contains(t, text, test.wantText)
		})
	}
}

func TestIngressAnswers503WithoutAStore(t *testing.T) {
	_, url, _, stopStore := ingress(t)
	stopStore()
	status, text := post(t, http.MethodPost, url+path,
		map[string]string{"Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Source": "/s", "Ce-Type": "t"}, "")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, text, "send it again")
}

func TestCopiesAreStoredOnce(t *testing.T) {
	b, _, w, _ := ingress(t)
	run(t, b)
	one := newEvent("1")
	sameIDOtherSource, sameIDOtherType, later := newEvent("1"), newEvent("1"), newEvent("2")
	sameIDOtherSource.SetSource("/refit/another")
	sameIDOtherType.SetType("dev.refit.another")
	send(t, b, one, one, sameIDOtherSource, sameIDOtherType, one, later)

	for range 4 {
		w.next(t)
	}
	requireSettled(t, b)
	w.none(t)
}

func post(t *testing.T, method, url string, header map[string]string, body string) (status int, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	for name, value := range header {
		r.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(data)
}
