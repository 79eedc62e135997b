package broker_test

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"refit.dev/platform/broker"
	"refit.dev/platform/bus"
)

const (
	oldStream   = "KN_BROKER_DEFAULT__REFIT"
	oldSubject  = "default.refit._knative_broker.events"
	oldConsumer = "KN_TRIGGER_AD682B4B03ED55FA90ED00EB8BA844A0" // of the trigger "work"
)

// olderData is the stream and the consumer of a broker that wrote no types into
// subjects: one event is done with, one was delivered and not acknowledged, and
// two were not delivered.
func olderData(t *testing.T, dir string) {
	t.Helper()
	nats, err := bus.Start(t.Context(), bus.Config{Dir: dir, Token: "a-token-for-tests"})
	require.NoError(t, err)
	stream, err := nats.JetStream().CreateStream(t.Context(), jetstream.StreamConfig{
		Name: oldStream, Subjects: []string{"default.refit._knative_broker.>"}, Storage: jetstream.FileStorage, AllowDirect: true,
	})
	require.NoError(t, err)
	consumer, err := stream.CreateConsumer(t.Context(), jetstream.ConsumerConfig{
		Durable: oldConsumer, AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: 1,
		MaxDeliver: -1, AckWait: broker.DefaultAckWait, MaxAckPending: 1024,
	})
	require.NoError(t, err)
	for _, id := range []string{"done", "delivered", "waiting 1", "waiting 2"} {
		body, err := newEvent(id).MarshalJSON()
		require.NoError(t, err)
		_, err = nats.JetStream().Publish(t.Context(), oldSubject, body, jetstream.WithMsgID(broker.MessageID(newEvent(id))))
		require.NoError(t, err)
	}
	for i := range 2 {
		message, err := consumer.Next()
		require.NoError(t, err)
		if i == 0 {
			require.NoError(t, message.DoubleAck(t.Context()))
		} else {
			require.NoError(t, message.Nak())
		}
	}
	require.NoError(t, nats.Close())
}

func TestEventsOfAnOlderVersionAreDelivered(t *testing.T) {
	dir := t.TempDir()
	olderData(t, dir)
	w := newService(t, taken)
	m := manifests(t, triggerYAML("work", "  filters: [{exact: {type: dev.refit.test}}]"))
	b := newBroker(t, config(startBus(t, dir), m, map[string]*service{"work": w}))
	run(t, b)
	send(t, b, newEvent("waiting 2"), newEvent("new"))

	var ids []string
	for range 4 {
		ids = append(ids, w.next(t).event.ID())
	}
	require.ElementsMatch(t, []string{"delivered", "waiting 1", "waiting 2", "new"}, ids)
	requireSettled(t, b)
	w.none(t)
}

// TestOtherTypesAreNotHandedOver looks at what waits for each trigger while the
// broker does not run.
func TestOtherTypesAreNotHandedOver(t *testing.T) {
	w := newService(t, taken)
	services := map[string]*service{"mine": w, "others": w, "all": w}
	m := manifests(t,
		triggerYAML("mine", "  filters: [{exact: {type: dev.refit.test}}]"),
		triggerYAML("others", "  filters: [{any: [{prefix: {type: com.}}, {exact: {type: dev.refit.other}}]}]"),
		triggerYAML("all"))
	b := newBroker(t, config(startBus(t, t.TempDir()), m, services))
	send(t, b, newEvent("1"), newEvent("2"))
	waiting := map[string]int{}
	backlog, err := b.Backlog(t.Context())
	require.NoError(t, err)
	for _, one := range backlog {
		waiting[one.Trigger] = one.Waiting
	}
	require.Equal(t, map[string]int{"mine": 2, "others": 0, "all": 2}, waiting)
}

// TestTriggerWhoseFilterChanges keeps what it has before it, held against the
// filter as it is now.
func TestTriggerWhoseFilterChanges(t *testing.T) {
	w := newService(t, taken)
	services := map[string]*service{"work": w}
	nats := startBus(t, t.TempDir())
	trigger := func(filter string) *broker.Manifests {
		return manifests(t, triggerYAML("work", "  filters: ["+filter+"]"))
	}
	one, other := newEvent("one"), newEvent("other")
	other.SetType("dev.refit.other")

	b := newBroker(t, config(nats, trigger("{exact: {type: dev.refit.test}}"), services))
	send(t, b, one, other)
	b = newBroker(t, config(nats, trigger("{any: [{exact: {type: dev.refit.test}}, {exact: {type: dev.refit.new}}]}"), services))
	later := newEvent("later")
	later.SetType("dev.refit.new")
	send(t, b, later)
	run(t, b)
	require.ElementsMatch(t, []string{"one", "later"}, []string{w.next(t).event.ID(), w.next(t).event.ID()})
	requireSettled(t, b)
	w.none(t)
}

// TestTypesOfAnyFormAreDelivered sends types that NATS would take for
// something else, or not at all.
func TestTypesOfAnyFormAreDelivered(t *testing.T) {
	for name, eventType := range map[string]string{
		"wildcards": "a.*.>", "blanks": "a b", "empty tokens": "..", "other scripts": "日本.é", "long": strings.Repeat("long.", 2000) + "type",
	} {
		t.Run(name, func(t *testing.T) {
			w, all := newService(t, taken), newService(t, taken)
			m := manifests(t, triggerYAML("work", `  filters: [{exact: {type: "`+eventType+`"}}]`), triggerYAML("all"))
			b := newBroker(t, config(startBus(t, t.TempDir()), m, map[string]*service{"work": w, "all": all}))
			run(t, b)
			e := newEvent("1")
			e.SetType(eventType)
			send(t, b, e)
			require.Equal(t, eventType, w.next(t).event.Type())
			require.Equal(t, eventType, all.next(t).event.Type())
			requireSettled(t, b)
		})
	}
}
