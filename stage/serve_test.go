package stage_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	neturl "net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/stage"
)

// orderly lets the events through in the order of their numbers, each when the
// one before it was answered, and fails where the caller has given up by then.
type orderly []chan struct{}

func (o orderly) Emit(ctx context.Context, e event.Event) error {
	cause, _ := e.Extensions()[events.ExtCausationID].(string)
	i, err := strconv.Atoi(cause)
	if err != nil {
		return err
	}
	<-o[i]
	return ctx.Err()
}

// request carries an event in binary mode.
func request(ctx context.Context, t *testing.T, e event.Event) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", http.NoBody)
	require.NoError(t, cehttp.WriteRequest(ctx, binding.ToMessage(&e), r))
	return r
}

func post(t *testing.T, url string, e event.Event) (status int) {
	t.Helper()
	r := request(t.Context(), t, e)
	r.RequestURI = ""
	var err error
	r.URL, err = neturl.Parse(url)
	require.NoError(t, err)
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	return answer.StatusCode
}

// TestEventsSideBySideAreServedApart has many events in hand at a time and
// answers one after the other: none may feel that another is done with.
func TestEventsSideBySideAreServedApart(t *testing.T) {
	const together = 64
	b := bench(t, events.Prepare, plain{})
	answered := make(orderly, together+1)
	for i := range answered {
		answered[i] = make(chan struct{})
	}
	p := b.Platform(nil)
	p.Emitter = answered
	f := stage.New(events.Prepare, plain{})
	require.NoError(t, f.StartOn(t.Context(), p))
	server := httptest.NewServer(f)
	defer server.Close()

	var all sync.WaitGroup
	statuses := make([]int, together)
	for i := range together {
		e := b.Upload("note.txt", "data", nil)
		e.SetID(strconv.Itoa(i))
		all.Go(func() {
			statuses[i] = post(t, server.URL, e)
			close(answered[i+1])
		})
	}
	close(answered[0])
	all.Wait()
	for i, status := range statuses {
		require.Equal(t, http.StatusOK, status, "event %d", i)
	}
}

// TestCallersThatGaveUpHoldNobodyUp has some callers leave before their events
// are looked at: the next event is served as ever.
func TestCallersThatGaveUpHoldNobodyUp(t *testing.T) {
	b := bench(t, events.Prepare, plain{})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range 10 {
		r := request(gone, t, b.Upload("note.txt", "data", nil))
		go b.Function.ServeHTTP(httptest.NewRecorder(), r)
	}
	served := make(chan int, 1)
	r := request(t.Context(), t, b.Upload("note.txt", "data", nil))
	go func() {
		w := httptest.NewRecorder()
		b.Function.ServeHTTP(w, r)
		served <- w.Code
	}()
	select {
	case status := <-served:
		require.Equal(t, http.StatusOK, status)
	case <-time.After(10 * time.Second):
		require.FailNow(t, "the event waits for another one to come")
	}
}

func TestServe(t *testing.T) {
	for name, tc := range map[string]struct {
		method, media, body string
		fails               error
		want                int
		says                string
	}{
		"an event that is handled is done with":     {want: http.StatusOK},
		"a failure asks for the event again":        {fails: errors.New("the broker is away"), want: http.StatusInternalServerError, says: "the broker is away"},
		"a request without an event is refused":     {media: "text/plain", body: "hello", want: http.StatusUnsupportedMediaType, says: "no CloudEvent"},
		"an event that is cut off is refused":       {body: `{"specversion":"1.0","id":"1"`, want: http.StatusBadRequest, says: "cannot be read"},
		"an event without an id is refused":         {body: `{"specversion":"1.0","type":"t","source":"/s"}`, want: http.StatusBadRequest, says: "id"},
		"a method that carries no event is refused": {method: http.MethodGet, want: http.StatusMethodNotAllowed, says: "POST"},
	} {
		t.Run(name, func(t *testing.T) {
			b := bench(t, events.Prepare, plain{})
			if tc.fails != nil {
				b.Sent.FailNext(tc.fails)
			}
			if tc.body == "" {
				body, err := b.Upload("note.txt", "data", nil).MarshalJSON()
				require.NoError(t, err)
				tc.body = string(body)
			}
			r := httptest.NewRequestWithContext(t.Context(), orDefault(tc.method, http.MethodPost), "/", bytes.NewBufferString(tc.body))
			r.Header.Set("Content-Type", orDefault(tc.media, event.ApplicationCloudEventsJSON))
			w := httptest.NewRecorder()
			b.Function.ServeHTTP(w, r)
			require.Equal(t, tc.want, w.Code)
			require.Contains(t, w.Body.String(), tc.says)
		})
	}
}

func TestHandlerLeavesProbesToTheServer(t *testing.T) {
	b := bench(t, events.Prepare, plain{})
	probes := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	h := b.Function.Handler(probes)
	for path, want := range map[string]int{"/health/readiness": http.StatusTeapot, "/": http.StatusMethodNotAllowed} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
		require.Equal(t, want, w.Code, path)
	}
}

func orDefault(value, instead string) string {
	if value == "" {
		return instead
	}
	return value
}

var _ stage.Emitter = orderly{}
