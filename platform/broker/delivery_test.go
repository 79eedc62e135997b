package broker_test

import (
	"encoding/base64"
	"net/http"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	cetest "github.com/cloudevents/sdk-go/v2/test"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"refit.dev/platform/broker"
)

var (
	taken   = always(response{status: http.StatusOK})
	refused = always(response{status: http.StatusBadRequest, text: "bad parquet"})
)

// pair starts a broker with one trigger to "work" whose dead letters go to
// "letters".
func pair(t *testing.T, delivery string, work func(int, event.Event) response) (b *broker.Broker, w, letters *service) {
	t.Helper()
	w, letters = newService(t, work), newService(t, taken)
	m := manifests(t, triggerYAML("work", "  delivery:", delivery, deadLetterYAML))
	b = newBroker(t, config(startBus(t, t.TempDir()), m, map[string]*service{"work": w, "letters": letters}))
	run(t, b)
	return b, w, letters
}

func TestDeliverTheEventAsItWas(t *testing.T) {
	b, w, letters := pair(t, "    retry: 0", taken)
	sent := newEvent("1")
	send(t, b, sent)

	got := w.next(t)
	require.Equal(t, "/work", got.path)
	cetest.AssertEventEquals(t, sent, got.event)
	requireSettled(t, b)
	letters.none(t)
}

func TestDeliverBytesThatAreNoText(t *testing.T) {
	b, w, _ := pair(t, "    retry: 0", taken)
	sent := newEvent("1")
	data := []byte{0xff, 0x00, 0xfe, 'P', 'A', 'R', '1'}
	require.NoError(t, sent.SetData("application/octet-stream", data))
	sent.DataBase64 = false // as a binary HTTP request leaves it
	send(t, b, sent)

	require.Equal(t, data, w.next(t).event.Data())
}

func TestDeliverAttributesOfAllLetters(t *testing.T) {
	b, w, _ := pair(t, "    retry: 0", taken)
	sent := newEvent("1")
	sent.SetSubject("mail/é ü/日本 100%+\"quoted\".parquet")
	send(t, b, sent)
	cetest.AssertEventEquals(t, sent, w.next(t).event)
}

func TestDeliverInTheFormatOfTheTrigger(t *testing.T) {
	b, w, _ := pair(t, "    format: json", taken)
	send(t, b, newEvent("1"))
	got := w.next(t)
	require.Equal(t, "application/cloudevents+json", got.media)
	cetest.AssertEventEquals(t, newEvent("1"), got.event)
}

// TestMessageThatIsNoEventIsDropped lets somebody else write into the stream.
func TestMessageThatIsNoEventIsDropped(t *testing.T) {
	w := newService(t, taken)
	bus := startBus(t, t.TempDir())
	b := newBroker(t, config(bus, manifests(t, triggerYAML("work")), map[string]*service{"work": w}))
	for _, data := range []string{"", "no JSON", "{}", `{"specversion":"1.0","id":"","source":"/s","type":"t"}`} {
		_, err := bus.JetStream().Publish(t.Context(), "default.refit._knative_broker.events", []byte(data))
		require.NoError(t, err)
	}
	send(t, b, newEvent("1"))
	run(t, b)
	require.Equal(t, "1", w.next(t).event.ID())
	requireSettled(t, b)
	w.none(t)
}

func TestRetryWithBackoffThenSuccess(t *testing.T) {
	b, w, letters := pair(t, "    retry: 5\n    backoffPolicy: exponential\n    backoffDelay: PT0.1S",
		func(attempt int, _ event.Event) response {
			if attempt < 3 {
				return response{status: http.StatusServiceUnavailable}
			}
			return response{status: http.StatusOK}
		})
	send(t, b, newEvent("1"))

	first, second, third := w.next(t), w.next(t), w.next(t)
	require.GreaterOrEqual(t, second.at.Sub(first.at), 100*time.Millisecond)
	require.GreaterOrEqual(t, third.at.Sub(second.at), 200*time.Millisecond)
	requireSettled(t, b)
	w.none(t)
	letters.none(t)
}

func TestRefusalGoesToTheDeadLetterSinkAtOnce(t *testing.T) {
	b, w, letters := pair(t, "    retry: 5\n    backoffPolicy: linear\n    backoffDelay: PT10S", refused)
	send(t, b, newEvent("1"))

	w.next(t)
	letter := letters.next(t)
	require.Equal(t, "/letters/dead-letter?kind=event", letter.path)
	require.Equal(t, "1", letter.event.ID())
	require.Equal(t, "r-1", letter.event.Extensions()["correlationid"])
	require.Equal(t, w.url+"/work", letter.event.Extensions()["knativeerrordest"])
	require.EqualValues(t, "400", letter.event.Extensions()["knativeerrorcode"])
	data, err := base64.StdEncoding.DecodeString(letter.event.Extensions()["knativeerrordata"].(string))
	require.NoError(t, err)
	require.Equal(t, "bad parquet\n", string(data))
	requireSettled(t, b)
	w.none(t)
}

func TestTimeoutGoesToTheDeadLetterSink(t *testing.T) {
	never := make(chan struct{})
	b, w, letters := pair(t, "    retry: 1\n    backoffPolicy: linear\n    backoffDelay: PT0.1S\n    timeout: PT0.1S",
		always(response{status: http.StatusOK, wait: never}))
	send(t, b, newEvent("1"))

	w.next(t)
	w.next(t)
	require.EqualValues(t, "500", letters.next(t).event.Extensions()["knativeerrorcode"])
	requireSettled(t, b)
	w.none(t)
}

func TestEventIsKeptWhileTheDeadLetterSinkFails(t *testing.T) {
	answer := func(attempt int, _ event.Event) response {
		if attempt == 1 {
			return response{status: http.StatusBadRequest}
		}
		return response{status: http.StatusOK}
	}
	w, letters := newService(t, answer), newService(t, refused)
	m := manifests(t, triggerYAML("work", "  delivery:", "    retry: 0", deadLetterYAML))
	b := newBroker(t, config(startBus(t, t.TempDir()), m, map[string]*service{"work": w, "letters": letters}))
	run(t, b)
	send(t, b, newEvent("1"))

	w.next(t)
	letters.next(t)
	require.Equal(t, "1", w.next(t).event.ID(), "the subscriber is asked again first")
	requireSettled(t, b)
	letters.none(t)
}

func TestEventIsDroppedWithoutADeadLetterSink(t *testing.T) {
	w := newService(t, refused)
	b := newBroker(t, config(startBus(t, t.TempDir()), manifests(t, triggerYAML("work")), map[string]*service{"work": w}))
	run(t, b)
	send(t, b, newEvent("1"))
	w.next(t)
	requireSettled(t, b)
	w.none(t)
}

func TestReplyIsAnEventOfItsOwn(t *testing.T) {
	reply := newEvent("reply")
	reply.SetType("dev.refit.test.reply")
	asking := newService(t, always(response{status: http.StatusOK, reply: &reply}))
	answered := newService(t, taken)
	m := manifests(t,
		triggerYAML("asking", "  filters: [{exact: {type: dev.refit.test}}]"),
		triggerYAML("answered", "  filters: [{exact: {type: dev.refit.test.reply}}]"))
	b := newBroker(t, config(startBus(t, t.TempDir()), m, map[string]*service{"asking": asking, "answered": answered}))
	run(t, b)
	send(t, b, newEvent("1"))

	require.Equal(t, "1", asking.next(t).event.ID())
	cetest.AssertEventEquals(t, reply, answered.next(t).event)
	requireSettled(t, b)
}

func TestReplyThatIsRefusedMakesADeadLetter(t *testing.T) {
	reply := newEvent("reply")
	reply.DataEncoded = []byte("{not json")
	b, w, letters := pair(t, "    retry: 0", always(response{status: http.StatusOK, reply: &reply}))
	send(t, b, newEvent("1"))

	w.next(t)
	letter := letters.next(t).event
	require.Equal(t, "1", letter.ID())
	require.EqualValues(t, "400", letter.Extensions()["knativeerrorcode"])
	requireSettled(t, b)
}

// TestSlowDeliveryIsNotRepeated holds an event back for longer than AckWait,
// told by the signs of life that JetStream gets meanwhile.
func TestSlowDeliveryIsNotRepeated(t *testing.T) {
	release := make(chan struct{})
	w := newService(t, always(response{status: http.StatusOK, wait: release}))
	bus := startBus(t, t.TempDir())
	c := config(bus, manifests(t, triggerYAML("work")), map[string]*service{"work": w})
	c.AckWait = time.Second
	b := newBroker(t, c)

	alive := make(chan struct{}, 100)
	_, err := bus.Conn().Subscribe("$JS.ACK.>", func(m *nats.Msg) {
		if string(m.Data) == "+WPI" {
			alive <- struct{}{}
		}
	})
	require.NoError(t, err)
	run(t, b)
	send(t, b, newEvent("1"))
	w.next(t)
	for range 7 { // three in an AckWait
		select {
		case <-alive:
		case <-time.After(patience):
			require.FailNow(t, "no sign of life")
		}
	}
	close(release)
	requireSettled(t, b)
	w.none(t)
}

func TestEventsOfATriggerAreDeliveredSideBySide(t *testing.T) {
	release := make(chan struct{})
	w := newService(t, always(response{status: http.StatusOK, wait: release}))
	c := config(startBus(t, t.TempDir()), manifests(t, triggerYAML("work")), map[string]*service{"work": w})
	c.Concurrency = 3
	b := newBroker(t, c)
	run(t, b)
	send(t, b, newEvent("1"), newEvent("2"), newEvent("3"), newEvent("4"))

	for range 3 {
		w.next(t)
	}
	w.none(t)
	close(release)
	w.next(t)
	requireSettled(t, b)
}
