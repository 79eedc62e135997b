// Package broker is a Knative broker for one machine.
//
// It reads the Broker and the Triggers that a cluster would get, defaults and
// validates them with Knative's own types, and stores, filters and delivers
// events with Knative's own filters and rules of retry over JetStream. Names of
// stream and consumers, what subjects begin with, the stored form (structured
// JSON) and the retention are those of the Knative JetStream broker, so that one
// reader understands the stream of a laptop and of a cluster.
//
// It differs from the cluster's broker where that one loses events: the failed
// forward of a reply or of a dead letter is tried again instead of being
// acknowledged, and an event id used by two sources is two events.
package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
)

// Broker takes events over HTTP and from this process, keeps them and delivers
// each to the subscriber of every trigger whose filter it passes. All methods
// are safe for concurrent use.
type Broker struct {
	config        Config
	path          string
	subjects      subjects
	stream        jetstream.Stream
	subscriptions []*subscription
}

// New makes the stream and a durable consumer for each trigger, or finds those
// of an earlier process. A trigger gets the events from the moment on that it
// first exists; consumers of triggers that are gone are deleted with what they
// had not delivered. Nothing is delivered before [Broker.Run].
func New(ctx context.Context, c Config) (*Broker, error) {
	c = c.WithDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	m := c.Manifests
	b := &Broker{
		config:   c,
		path:     "/" + m.Broker.Namespace + "/" + m.Broker.Name,
		subjects: subjects{base: subjectPrefix(m.Broker) + ".events"},
	}
	seen := &recent{}
	for _, t := range m.Triggers {
		s, err := newSubscription(c, t, b.subjects, seen, b.Send)
		if err != nil {
			return nil, fmt.Errorf("broker: trigger %s/%s: %w", t.Namespace, t.Name, err)
		}
		b.subscriptions = append(b.subscriptions, s)
	}
	if err := b.bind(ctx, m.Broker); err != nil {
		return nil, fmt.Errorf("broker %s/%s: %w", m.Broker.Namespace, m.Broker.Name, err)
	}
	return b, nil
}

// bind makes stream and consumers agree with the manifests.
func (b *Broker) bind(ctx context.Context, object *eventingv1.Broker) (err error) {
	config := b.config.Manifests.stream
	if b.config.MaxAge > 0 {
		config.MaxAge = b.config.MaxAge
	}
	if b.config.MaxBytes > 0 {
		config.MaxBytes = b.config.MaxBytes
	}
	config.Name = streamName(object)
	config.Subjects = []string{subjectPrefix(object) + ".>"}
	b.stream, err = b.config.JetStream.CreateOrUpdateStream(ctx, config)
	if err != nil {
		return fmt.Errorf("make stream %s: %w", config.Name, err)
	}
	keep := map[string]bool{}
	for _, s := range b.subscriptions {
		keep[s.consumerName] = true
		if err := s.bind(ctx, b.stream); err != nil {
			return fmt.Errorf("make the consumer of trigger %s: %w", s.name, err)
		}
	}
	return b.forget(ctx, keep)
}

// forget deletes the consumers of triggers that are gone, as the cluster does:
// one that comes back later must not get everything since.
func (b *Broker) forget(ctx context.Context, keep map[string]bool) error {
	names := b.stream.ConsumerNames(ctx)
	var gone []string
	for name := range names.Name() {
		if isTriggerConsumer(name) && !keep[name] {
			gone = append(gone, name)
		}
	}
	if err := names.Err(); err != nil {
		return fmt.Errorf("list consumers: %w", err)
	}
	for _, name := range gone {
		b.config.Logger.Info("trigger is gone, its consumer is deleted", "consumer", name)
		if err := b.stream.DeleteConsumer(ctx, name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			return fmt.Errorf("delete consumer %s: %w", name, err)
		}
	}
	return nil
}

// Run delivers events until ctx is done and waits for its goroutines; it is
// called once. What was not delivered by then stays in the stream for the next
// Run. It answers nil after a cancelled context; a broken connection to
// JetStream is waited out.
func (b *Broker) Run(ctx context.Context) error {
	var all sync.WaitGroup
	for _, s := range b.subscriptions {
		all.Go(func() { s.run(ctx) })
	}
	all.Wait()
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := b.config.JetStream.Conn().FlushWithContext(flush); err != nil {
		b.config.Logger.Warn("acknowledgements may be lost, their events will be delivered again", "error", err)
	}
	return nil
}

// Backlog is how much a trigger has before it.
type Backlog struct {
	// Trigger is the trigger's name.
	Trigger string
	// Waiting events have not been looked at; Underway ones are being
	// delivered or wait for another delivery.
	Waiting, Underway int
}

// Backlog answers the backlog of every trigger, in the order of the manifests.
func (b *Broker) Backlog(ctx context.Context) ([]Backlog, error) {
	all := make([]Backlog, 0, len(b.subscriptions))
	for _, s := range b.subscriptions {
		info, err := s.consumer.Info(ctx)
		if err != nil {
			return nil, fmt.Errorf("broker: backlog of trigger %s: %w", s.name, err)
		}
		all = append(all, Backlog{Trigger: s.name, Waiting: int(info.NumPending), Underway: info.NumAckPending})
	}
	return all, nil
}
