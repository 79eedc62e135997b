package chaos_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	manifest "refit.dev/config"
	"refit.dev/events"
	"refit.dev/platform/broker"
	"refit.dev/platform/bus"
	"refit.dev/platform/journal"
)

// TestARestartOfNATSIsWaitedOut restarts the NATS server under a broker and a
// journal that reach it over the network. What was acknowledged is delivered,
// what was not is refused, and both go on when the server is back.
func TestARestartOfNATSIsWaitedOut(t *testing.T) {
	requireNoLeak(t)
	c := bus.Config{Dir: t.TempDir(), Token: "chaos"}
	server, err := bus.Start(t.Context(), c)
	require.NoError(t, err)
	c.Port = portOf(t, server.URL())
	js := connect(t, server.URL(), c.Token)
	kept, err := journal.Open(t.Context(), js)
	require.NoError(t, err)
	sent, seen := serveBroker(t, js, kept)

	send := func(from, to int) (stored int, err error) {
		for i := from; i < to; i++ {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			err = sent(ctx, numbered(t, i))
			cancel()
			if err != nil {
				return i, err
			}
		}
		return to, nil
	}
	stored, err := send(0, 50)
	require.NoError(t, err)
	require.NoError(t, server.Close())
	_, err = send(stored, stored+1)
	require.Error(t, err, "nobody keeps the event")

	server, err = bus.Start(t.Context(), c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	require.Eventually(t, func() bool {
		stored, err = send(stored, 100)
		return err == nil
	}, time.Minute, 10*time.Millisecond)
	require.Eventually(t, func() bool { return seen() == stored }, time.Minute, 10*time.Millisecond, "every event is in the journal")
}

// serveBroker runs a broker with the journal as the subscriber of all events.
// It returns how to send, and how many different events the journal took.
func serveBroker(t *testing.T, js jetstream.JetStream, kept *journal.Journal) (send func(context.Context, event.Event) error, seen func() int) {
	t.Helper()
	var mu sync.Mutex
	ids := map[string]bool{}
	taking := kept.Handler()
	subscriber := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorder := httptest.NewRecorder()
		taking.ServeHTTP(recorder, r)
		if recorder.Code == http.StatusAccepted {
			mu.Lock()
			ids[r.Header.Get("Ce-Id")] = true
			mu.Unlock()
		}
		w.WriteHeader(recorder.Code)
	}))
	t.Cleanup(subscriber.Close)
	manifests, err := broker.Load(manifest.Files)
	require.NoError(t, err)
	b, err := broker.New(t.Context(), broker.Config{
		Manifests: manifests, JetStream: js, AckWait: time.Second, Resolve: func(string, string) (string, error) { return subscriber.URL, nil },
	})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-done)
	})
	return b.Send, func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(ids)
	}
}

func connect(t *testing.T, url, token string) jetstream.JetStream {
	t.Helper()
	conn, err := nats.Connect(url, nats.Token(token), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	require.NoError(t, err)
	return js
}

func portOf(t *testing.T, url string) int {
	t.Helper()
	address, err := net.ResolveTCPAddr("tcp", url[len("nats://"):])
	require.NoError(t, err)
	return address.Port
}

// numbered is an event that no function wants.
func numbered(t *testing.T, i int) event.Event {
	t.Helper()
	e := event.New()
	e.SetID(fmt.Sprintf("chaos-%d", i))
	e.SetSource("/chaos")
	e.SetType(string(events.LandingDuplicate))
	require.NoError(t, e.SetData(event.ApplicationJSON, events.Landing{Reason: "Chaos", Message: "none"}))
	return e
}
