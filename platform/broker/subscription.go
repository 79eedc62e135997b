package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/nats-io/nats.go/jetstream"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/eventing/pkg/eventfilter"
)

// batch is how many events a trigger holds at most: looked at, found to pass
// its filter, and neither delivered nor given back.
const batch = 256

// subscription is one trigger at work: it takes events from its consumer,
// acknowledges those that do not pass its filter and delivers the others.
type subscription struct {
	config       Config
	name         string
	consumerName string
	subjects     []string
	filter       eventfilter.Filter
	consumer     jetstream.Consumer
	seen         *recent
	delivery     delivery
	held         held
}

// parcel is an event on its way to the subscriber.
type parcel struct {
	sequence uint64
	message  jetstream.Msg
	event    *event.Event
}

func newSubscription(
	c Config, t *eventingv1.Trigger, all subjects, seen *recent, reply replyFunc,
) (*subscription, error) {
	filter, err := newFilter(t)
	if err != nil {
		return nil, err
	}
	c.Logger = c.Logger.With("trigger", t.Name)
	delivery, err := newDelivery(c, t, reply)
	if err != nil {
		return nil, err
	}
	return &subscription{
		config:       c,
		name:         t.Name,
		consumerName: consumerName(t),
		subjects:     all.wanted(t),
		filter:       filter,
		seen:         seen,
		delivery:     delivery,
		held:         held{messages: map[uint64]jetstream.Msg{}, freed: make(chan struct{}, 1)},
	}, nil
}

// bind finds the trigger's consumer or makes one that begins behind the last
// event. The start is written down as a number and not as "new": a consumer
// that loses its state begins there again and skips nothing.
func (s *subscription) bind(ctx context.Context, stream jetstream.Stream) error {
	want := jetstream.ConsumerConfig{
		Durable:        s.consumerName,
		Description:    "trigger " + s.name,
		AckPolicy:      jetstream.AckExplicitPolicy,
		MaxDeliver:     -1,
		AckWait:        s.config.AckWait,
		MaxAckPending:  4 * batch,
		DeliverPolicy:  jetstream.DeliverByStartSequencePolicy,
		FilterSubjects: s.subjects,
	}
	known, err := stream.Consumer(ctx, s.consumerName)
	switch {
	case err == nil:
		want.OptStartSeq = known.CachedInfo().Config.OptStartSeq
	case errors.Is(err, jetstream.ErrConsumerNotFound):
		info, err := stream.Info(ctx)
		if err != nil {
			return fmt.Errorf("find the end of the stream: %w", err)
		}
		want.OptStartSeq = info.State.LastSeq + 1
	default:
		return err
	}
	s.consumer, err = stream.CreateOrUpdateConsumer(ctx, want)
	if errors.Is(err, jetstream.ErrConsumerMultipleFilterSubjectsNotSupported) {
		// The server answers its first update of a consumer with the consumer as
		// it was, in which the client misses the subjects.
		s.consumer, err = stream.CreateOrUpdateConsumer(ctx, want)
	}
	return err
}

// run delivers until ctx is done.
func (s *subscription) run(ctx context.Context) {
	parcels := make(chan parcel, batch)
	alive, stop := context.WithCancel(context.WithoutCancel(ctx))
	var workers, heart sync.WaitGroup
	for range s.config.Concurrency {
		workers.Go(func() {
			for p := range parcels {
				s.handle(ctx, p)
			}
		})
	}
	heart.Go(func() { s.held.keepAlive(alive, s.config.AckWait/3) })
	s.pull(ctx, parcels)
	close(parcels)
	workers.Wait()
	stop()
	heart.Wait()
	s.delivery.close()
}

// pull fetches only as many events as can be held, so that none waits unseen
// in a buffer until JetStream believes it lost.
func (s *subscription) pull(ctx context.Context, parcels chan<- parcel) {
	filtering := filterContext(ctx)
	for {
		room, ok := s.held.room(ctx)
		if !ok {
			return
		}
		messages, err := s.consumer.Fetch(room, jetstream.FetchContext(ctx))
		if err == nil {
			for message := range messages.Messages() {
				s.take(filtering, message, parcels)
			}
			err = messages.Error()
		}
		if err != nil && ctx.Err() == nil {
			s.config.Logger.Warn("events cannot be fetched, trying again", "error", err)
			pause(ctx, time.Second)
		}
	}
}

// take acknowledges an event that does not pass the filter and hands over one
// that does.
func (s *subscription) take(ctx context.Context, message jetstream.Msg, parcels chan<- parcel) {
	place, err := message.Metadata()
	if err != nil {
		s.config.Logger.Error("message without a place in the stream", "error", err)
		return
	}
	sequence := place.Sequence.Stream
	e, err := s.seen.parse(sequence, message.Data())
	if err != nil {
		s.config.Logger.Error("message is no event, it is dropped", "sequence", sequence, "error", err)
		s.settle(message.TermWithReason("no CloudEvent"))
		return
	}
	ok, err := passes(ctx, s.filter, *e)
	if err != nil {
		s.config.Logger.Error("event is not delivered", "event_id", e.ID(), "error", err)
	}
	if !ok {
		s.settle(message.Ack())
		return
	}
	if s.held.add(sequence, message) {
		parcels <- parcel{sequence: sequence, message: message, event: e}
	}
}

// handle delivers one event and tells JetStream how that went.
func (s *subscription) handle(ctx context.Context, p parcel) {
	defer s.held.remove(p.sequence)
	err := s.delivery.deliver(ctx, p.event)
	switch {
	case err == nil:
		s.settle(p.message.Ack())
	case ctx.Err() != nil:
		s.settle(p.message.Nak())
	default:
		delay := s.again(p.message)
		s.config.Logger.Warn("event is kept for another delivery", "event_id", p.event.ID(), "in", delay, "error", err)
		s.settle(p.message.NakWithDelay(delay))
	}
}

// again is how long to wait before the next delivery of an event whose dead
// letter sink failed as well: from a second, doubling, to a minute.
func (s *subscription) again(message jetstream.Msg) time.Duration {
	deliveries := uint64(1)
	if place, err := message.Metadata(); err == nil {
		deliveries = place.NumDelivered
	}
	return min(time.Second<<min(deliveries-1, 6), time.Minute)
}

// settle takes the error of an answer to JetStream. A lost answer means
// another delivery and nothing worse.
func (s *subscription) settle(err error) {
	if err != nil {
		s.config.Logger.Warn("answer to JetStream is lost, the event will be delivered again", "error", err)
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
