package broker_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"testing/fstest"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"refit.dev/platform/broker"
	"refit.dev/platform/bus"
)

// The child of TestEventOfAKilledProcessIsDeliveredAgain gets the folder of
// its bus and the URL of its subscriber.
const (
	childDir = "REFIT_BROKER_TEST_DIR"
	childURL = "REFIT_BROKER_TEST_URL"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := deliverForever(dir, os.Getenv(childURL)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func TestEventsOutliveARestart(t *testing.T) {
	dir := t.TempDir()
	w := newService(t, taken)
	m := manifests(t, triggerYAML("work"))

	first := startBus(t, dir)
	b := newBroker(t, config(first, m, map[string]*service{"work": w}))
	stop := run(t, b)
	send(t, b, newEvent("before"))
	require.Equal(t, "before", w.next(t).event.ID())
	requireSettled(t, b)
	stop()
	send(t, b, newEvent("inside 1"), newEvent("inside 2"))
	require.NoError(t, first.Close())

	b = newBroker(t, config(startBus(t, dir), m, map[string]*service{"work": w}))
	run(t, b)
	ids := []string{w.next(t).event.ID(), w.next(t).event.ID()}
	require.ElementsMatch(t, []string{"inside 1", "inside 2"}, ids)
	requireSettled(t, b)
	w.none(t)
}

// TestStopGivesBackWhatIsUnderway stops the broker in the middle of a delivery;
// the next one delivers it without waiting for AckWait.
func TestStopGivesBackWhatIsUnderway(t *testing.T) {
	never := make(chan struct{})
	w := newService(t, func(attempt int, _ event.Event) response {
		if attempt == 1 {
			return response{wait: never}
		}
		return response{status: http.StatusOK}
	})
	bus := startBus(t, t.TempDir())
	c := config(bus, manifests(t, triggerYAML("work")), map[string]*service{"work": w})
	c.AckWait = time.Hour
	b := newBroker(t, c)
	stop := run(t, b)
	send(t, b, newEvent("1"))
	w.next(t)
	stop()

	b = newBroker(t, c)
	run(t, b)
	require.Equal(t, "1", w.next(t).event.ID())
	requireSettled(t, b)
}

func TestEventOfAKilledProcessIsDeliveredAgain(t *testing.T) {
	dir := t.TempDir()
	never := make(chan struct{})
	w := newService(t, func(attempt int, _ event.Event) response {
		if attempt == 1 {
			return response{wait: never}
		}
		return response{status: http.StatusOK}
	})
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childDir+"="+dir, childURL+"="+w.url)
	child.Stderr = os.Stderr
	require.NoError(t, child.Start())
	require.Equal(t, "1", w.next(t).event.ID(), "delivered, not acknowledged")
	require.NoError(t, child.Process.Kill())
	var exit *exec.ExitError
	require.ErrorAs(t, child.Wait(), &exit)

	c := config(startBus(t, dir), manifests(t, triggerYAML("work")), map[string]*service{"work": w})
	c.AckWait = time.Second
	b := newBroker(t, c)
	run(t, b)
	require.Equal(t, "1", w.next(t).event.ID())
	requireSettled(t, b)
	w.none(t)
}

func deliverForever(dir, url string) error {
	ctx := context.Background()
	nats, err := bus.Start(ctx, bus.Config{Dir: dir, Token: "a-token-for-tests"})
	if err != nil {
		return err
	}
	m, err := broker.Load(fstest.MapFS{"all.yaml": {Data: []byte(brokerYAML + "\n---\n" + triggerYAML("work"))}})
	if err != nil {
		return err
	}
	b, err := broker.New(ctx, broker.Config{
		Manifests: m,
		JetStream: nats.JetStream(),
		Resolve:   func(string, string) (string, error) { return url, nil },
		AckWait:   time.Second,
	})
	if err != nil {
		return err
	}
	if err := b.Send(ctx, newEvent("1")); err != nil {
		return err
	}
	return b.Run(ctx)
}

func TestTriggerGetsEventsFromItsFirstMomentOn(t *testing.T) {
	old, young := newService(t, taken), newService(t, taken)
	services := map[string]*service{"old": old, "young": young}
	bus := startBus(t, t.TempDir())
	one := manifests(t, triggerYAML("old"))
	two := manifests(t, triggerYAML("old"), triggerYAML("young"))

	send(t, newBroker(t, config(bus, one, services)), newEvent("1"))
	send(t, newBroker(t, config(bus, two, services)), newEvent("2"))
	b := newBroker(t, config(bus, two, services))
	stop := run(t, b)
	require.ElementsMatch(t, []string{"1", "2"}, []string{old.next(t).event.ID(), old.next(t).event.ID()})
	require.Equal(t, "2", young.next(t).event.ID())
	requireSettled(t, b)
	stop()

	// Gone and back: the young trigger begins anew.
	send(t, newBroker(t, config(bus, one, services)), newEvent("3"))
	b = newBroker(t, config(bus, two, services))
	run(t, b)
	send(t, b, newEvent("4"))
	require.Equal(t, "4", young.next(t).event.ID())
	requireSettled(t, b)
	young.none(t)
}

func TestNamesAreThoseOfTheKnativeBroker(t *testing.T) {
	bus := startBus(t, t.TempDir())
	withUID := triggerYAML("known")
	m := manifests(t, triggerYAML("work"), withUID)
	m.Triggers[1].UID = "0b1c2d3e-1111-2222-3333-444455556666"
	services := map[string]*service{"work": newService(t, taken), "known": newService(t, taken)}
	b := newBroker(t, config(bus, m, services))
	send(t, b, newEvent("1"))

	stream, err := bus.JetStream().Stream(t.Context(), "KN_BROKER_DEFAULT__REFIT")
	require.NoError(t, err)
	message, err := stream.GetMsg(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, "default.refit._knative_broker.events.dev.refit.test", message.Subject)
	require.Equal(t, broker.MessageID(newEvent("1")), message.Header.Get("Nats-Msg-Id"))
	require.JSONEq(t, `{"specversion":"1.0","id":"1","source":"/refit/test","type":"dev.refit.test","correlationid":"r-1","datacontenttype":"application/json","data":{"id":"1"}}`, string(message.Data))

	var names []string
	for name := range stream.ConsumerNames(t.Context()).Name() {
		names = append(names, name)
	}
	// A UID of a trigger without one depends on namespace and name alone: a
	// change of this string loses what consumers on people's disks hold.
	require.ElementsMatch(t, []string{"KN_TRIGGER_0B1C2D3E111122223333444455556666", "KN_TRIGGER_AD682B4B03ED55FA90ED00EB8BA844A0"}, names)
}
