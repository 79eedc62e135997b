package journal_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/platform/journal"
)

func TestRecordKeepsEachEventOnce(t *testing.T) {
	j := open(t, startBus(t, t.TempDir()))
	e := started(t, runA, events.Train, 1, 1)
	same := e.Clone()
	same.SetSource("/elsewhere")
	for range 3 {
		require.NoError(t, j.Record(t.Context(), e))
		require.NoError(t, j.Record(t.Context(), same))
	}
	got, err := j.Events(t.Context(), journal.Filter{})
	require.NoError(t, err)
	require.Equal(t, []string{e.Source(), "/elsewhere"}, []string{got[0].Source(), got[1].Source()})
	require.Len(t, got, 2)
	require.Equal(t, e.String(), got[0].String())
}

func TestEventsSelects(t *testing.T) {
	j := open(t, startBus(t, t.TempDir()))
	odd := event.New()
	odd.SetID("1")
	odd.SetType("odd .*.>.ä..type")
	odd.SetSource("/x")
	all := []event.Event{started(t, runA, events.Train, 1, 1), started(t, runB, events.Train, 1, 2), completed(t, runA, events.Train, 1, 3, events.Figures{}), odd}
	for _, e := range all {
		require.NoError(t, j.Record(t.Context(), e))
	}
	tests := map[string]struct {
		filter journal.Filter
		want   []event.Event
	}{
		"everything, in the order of recording": {journal.Filter{}, all},
		"one run":                               {journal.Filter{Run: runA}, []event.Event{all[0], all[2]}},
		"one type":                              {journal.Filter{Types: []string{string(events.Train.Started())}}, all[:2]},
		"two types of one run":                  {journal.Filter{Run: runA, Types: []string{string(events.Train.Completed()), string(events.Train.Started())}}, []event.Event{all[0], all[2]}},
		"a type with odd letters":               {journal.Filter{Types: []string{odd.Type()}}, all[3:]},
		"nothing before the start":              {journal.Filter{Since: at(0).AddDate(200, 0, 0)}, nil},
		"an unknown run":                        {journal.Filter{Run: "r-20000101-000000-00000000"}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := j.Events(t.Context(), test.filter)
			require.NoError(t, err)
			require.Equal(t, ids(test.want), ids(got))
		})
	}
}

func ids(list []event.Event) []string {
	all := []string{}
	for _, e := range list {
		all = append(all, e.Type()+" "+e.ID())
	}
	return all
}

func TestFollowGoesOnWithNewEvents(t *testing.T) {
	j := open(t, startBus(t, t.TempDir()))
	require.NoError(t, j.Record(t.Context(), started(t, runA, events.Prepare, 1, 1)))
	var seen []string
	err := j.Follow(t.Context(), journal.Filter{Run: runA}, func(e event.Event) error {
		seen = append(seen, e.Type())
		if len(seen) == 2 {
			return journal.ErrStop
		}
		return j.Record(t.Context(), completed(t, runA, events.Prepare, 1, 2, events.Figures{}))
	})
	require.NoError(t, err)
	require.Equal(t, []string{string(events.Prepare.Started()), string(events.Prepare.Completed())}, seen)
}

func TestFollowEndsWithItsContextAndWithAnError(t *testing.T) {
	j := open(t, startBus(t, t.TempDir()))
	require.NoError(t, j.Record(t.Context(), started(t, runA, events.Prepare, 1, 1)))
	ctx, cancel := context.WithCancel(t.Context())
	err := j.Follow(ctx, journal.Filter{}, func(event.Event) error { cancel(); return nil })
	require.ErrorIs(t, err, context.Canceled)
	mine := errors.New("mine")
	require.ErrorIs(t, j.Follow(t.Context(), journal.Filter{}, func(event.Event) error { return mine }), mine)
}

func TestJournalSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	b := startBus(t, dir)
	_, err := journal.Attach(t.Context(), b.JetStream())
	require.ErrorIs(t, err, journal.ErrMissing)
	require.NoError(t, open(t, b).Record(t.Context(), started(t, runA, events.Tune, 1, 1)))
	require.NoError(t, b.Close())
	b = startBus(t, dir)
	j, err := journal.Attach(t.Context(), b.JetStream())
	require.NoError(t, err)
	got, err := j.Events(t.Context(), journal.Filter{Run: runA})
	require.NoError(t, err)
	require.Len(t, got, 1)
	open(t, b)
}

func TestHandler(t *testing.T) {
	b := startBus(t, t.TempDir())
	j := open(t, b)
	e := started(t, runA, events.Train, 1, 1)
	structured, err := e.MarshalJSON()
	require.NoError(t, err)
	tests := map[string]struct {
		request  *http.Request
		wantCode int
		wantText string
	}{
		"a binary event":             {binary(t, "/", e), http.StatusAccepted, ""},
		"an event below no path":     {binary(t, "", e), http.StatusAccepted, ""},
		"a structured event":         {post("/", "application/cloudevents+json", string(structured)), http.StatusAccepted, ""},
		"something else":             {post("/", "application/json", "{}"), http.StatusBadRequest, "no CloudEvent"},
		"a batch":                    {post("/", "application/cloudevents-batch+json", "[]"), http.StatusBadRequest, "no CloudEvent"},
		"an event without an id":     {post("/", "application/cloudevents+json", `{"specversion":"1.0","type":"a","source":"b"}`), http.StatusBadRequest, "id"},
		"an event that is no JSON":   {post("/", "application/cloudevents+json", `{`), http.StatusBadRequest, "cannot be read"},
		"an event that is too large": {post("/", "application/cloudevents+json", strings.Repeat(" ", 2<<20)), http.StatusRequestEntityTooLarge, "more than"},
		"another path":               {post("/other", "application/json", ""), http.StatusNotFound, journal.DeadLetterPath},
		"another method":             {httptest.NewRequest(http.MethodGet, "/", nil), http.StatusMethodNotAllowed, "POST"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			j.Handler().ServeHTTP(w, test.request)
			require.Equal(t, test.wantCode, w.Code)
			require.Contains(t, w.Body.String(), test.wantText)
		})
	}
	got, err := j.Events(t.Context(), journal.Filter{})
	require.NoError(t, err)
	require.Len(t, got, 1, "the three ways to post one event make one record")

	require.NoError(t, b.Close())
	w := httptest.NewRecorder()
	j.Handler().ServeHTTP(w, binary(t, "/", e))
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
}

func TestHandlerKeepsDeadLettersApart(t *testing.T) {
	j := open(t, startBus(t, t.TempDir()))
	e := started(t, runA, events.Train, 1, 1)
	require.NoError(t, j.Record(t.Context(), e))
	for _, destination := range []string{"http://127.0.0.1/tune", "http://127.0.0.1/train"} {
		dead := e.Clone()
		dead.SetExtension("knativeerrordest", destination)
		dead.SetExtension("knativeerrorcode", 500)
		for range 2 {
			w := httptest.NewRecorder()
			j.Handler().ServeHTTP(w, binary(t, journal.DeadLetterPath, dead))
			require.Equal(t, http.StatusAccepted, w.Code)
		}
	}
	got, err := j.Events(t.Context(), journal.Filter{Run: runA, Types: []string{"deadletter"}})
	require.NoError(t, err)
	require.Len(t, got, 2, "one a trigger")
	require.Equal(t, "http://127.0.0.1/tune", got[0].Extensions()["knativeerrordest"])
	require.Equal(t, "500", got[0].Extensions()["knativeerrorcode"])
	require.Equal(t, journal.Fold([]event.Event{e}), journal.Fold(append(got, e)))
}

func TestRecordDeadLetterDropsDataThatLeavesNoRoom(t *testing.T) {
	j := open(t, startBus(t, t.TempDir()))
	e := event.New()
	e.SetID("1")
	e.SetType("big")
	e.SetSource("/x")
	require.NoError(t, e.SetData(event.TextPlain, []byte(strings.Repeat("x", 1<<20))))
	var refused *journal.RefusedError
	require.ErrorAs(t, j.Record(t.Context(), e), &refused)
	require.NoError(t, j.RecordDeadLetter(t.Context(), e))
	got, err := j.Events(t.Context(), journal.Filter{Types: []string{"deadletter"}})
	require.NoError(t, err)
	require.Empty(t, got[0].Data())
}

func post(path, contentType, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "http://journal"+path, strings.NewReader(body))
	r.URL.Path = path
	r.Header.Set("Content-Type", contentType)
	return r
}

func binary(t *testing.T, path string, e event.Event) *http.Request {
	t.Helper()
	r := post(path, "", "")
	require.NoError(t, cehttp.WriteRequest(binding.WithForceBinary(t.Context()), (*binding.EventMessage)(&e), r))
	return r
}

func TestFollowEndsWhenTheConnectionIsGone(t *testing.T) {
	b := startBus(t, t.TempDir())
	require.NoError(t, open(t, b).Record(t.Context(), started(t, runA, events.Prepare, 1, 1)))
	conn, err := nats.Connect(b.URL(), nats.Token("test"), nats.MaxReconnects(0))
	require.NoError(t, err)
	defer conn.Close()
	js, err := jetstream.New(conn)
	require.NoError(t, err)
	j, err := journal.Attach(t.Context(), js)
	require.NoError(t, err)
	err = j.Follow(t.Context(), journal.Filter{}, func(event.Event) error { return b.Close() })
	require.ErrorIs(t, err, journal.ErrGone)
}
