package stage_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/stage"
)

// ingress is a broker's ingress that gives the answers in turn, the last one
// for ever, and counts the requests.
type ingress struct {
	url   string
	tries atomic.Int32
}

func newIngress(t *testing.T, answers ...int) *ingress {
	t.Helper()
	in := new(ingress)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := int(in.tries.Add(1))
		body, err := io.ReadAll(r.Body)
		if err != nil || string(body) != `{"num_hpo_trials":3}` {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		w.WriteHeader(answers[min(n, len(answers))-1])
	}))
	t.Cleanup(server.Close)
	in.url = server.URL
	return in
}

func (in *ingress) emit(ctx context.Context, t *testing.T) error {
	t.Helper()
	b, err := stage.NewBroker(in.url)
	require.NoError(t, err)
	e := event.New()
	e.SetType(string(events.RunRequested))
	e.SetSource("/test")
	e.SetID("1")
	require.NoError(t, e.SetData(event.ApplicationJSON, map[string]int{"num_hpo_trials": 3}))
	return b.Emit(ctx, e)
}

func TestEmitTriesUntilTheBrokerTakesTheEvent(t *testing.T) {
	t.Parallel()
	for _, status := range []int{404, 408, 425, 429, 500, 502, 503, 504} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			in := newIngress(t, status, http.StatusAccepted)
			require.NoError(t, in.emit(t.Context(), t))
			require.EqualValues(t, 2, in.tries.Load())
		})
	}
	t.Run("one after the other", func(t *testing.T) {
		t.Parallel()
		in := newIngress(t, http.StatusInternalServerError, http.StatusServiceUnavailable, http.StatusAccepted)
		require.NoError(t, in.emit(t.Context(), t))
		require.EqualValues(t, 3, in.tries.Load())
	})
}

func TestEmitGivesUpOnALastingRefusal(t *testing.T) {
	for _, status := range []int{400, 401, 403, 413, 415} {
		in := newIngress(t, status)
		err := in.emit(t.Context(), t)
		require.ErrorContains(t, err, "send dev.refit.run.requested")
		require.ErrorContains(t, err, strconv.Itoa(status))
		require.EqualValues(t, 1, in.tries.Load())
	}
}

func TestEmitEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		cancel()
	}))
	t.Cleanup(server.Close)
	require.ErrorContains(t, (&ingress{url: server.URL}).emit(ctx, t), "send dev.refit.run.requested")
}

func TestABrokerNeedsAURL(t *testing.T) {
	for _, url := range []string{"", "broker", "ftp://broker/", "http://", "http://%zz/", ":"} {
		_, err := stage.NewBroker(url)
		require.ErrorContains(t, err, "accepted is a URL", url)
	}
}
