package broker

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/uuid"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
)

const consumerPrefix = "KN_TRIGGER_"

// streamName is the Knative JetStream broker's name for a broker's stream.
func streamName(b *eventingv1.Broker) string {
	return "KN_BROKER_" + upper(b.Namespace) + "__" + upper(b.Name)
}

func upper(name string) string {
	return strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// subjectPrefix is what every subject of a broker's stream begins with.
func subjectPrefix(b *eventingv1.Broker) string {
	return b.Namespace + "." + b.Name + "._knative_broker"
}

// consumerName is the Knative JetStream broker's name for a trigger's
// consumer. A cluster gives the trigger a UID; a file has none, so one is made
// from namespace and name and is the same after every restart.
func consumerName(t *eventingv1.Trigger) string {
	uid := string(t.UID)
	if uid == "" {
		uid = uuid.NewSHA1(uuid.NameSpaceURL, []byte("refit.dev/triggers/"+t.Namespace+"/"+t.Name)).String()
	}
	return consumerPrefix + strings.ToUpper(strings.ReplaceAll(uid, "-", ""))
}

func isTriggerConsumer(name string) bool {
	return strings.HasPrefix(name, consumerPrefix)
}

// MessageID is the Nats-Msg-Id of an event, by which JetStream drops a copy
// sent within the stream's duplicate window. CloudEvents make source and id
// unique together; the Knative JetStream broker takes the id alone and so
// swallows the event of another source or type that happens to share it.
func MessageID(e event.Event) string {
	sum := sha256.Sum256([]byte(e.Source() + "\x00" + e.Type() + "\x00" + e.ID()))
	return hex.EncodeToString(sum[:])
}
