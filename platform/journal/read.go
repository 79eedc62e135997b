package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Filter selects events. The zero value selects all of them.
type Filter struct {
	// Run selects the events of one run, dead letters included.
	Run string
	// Types selects events of these types.
	Types []string
	// Since selects what was recorded at or after a moment.
	Since time.Time
}

// ErrStop ends a Follow without an error.
var ErrStop = errors.New("stop following")

// ErrGone ends a Follow when the connection is closed for good.
var ErrGone = errors.New("the connection to the journal is gone")

// Events returns what the journal holds now, in the order of its recording. An
// event may be there more than once.
func (j *Journal) Events(ctx context.Context, f Filter) ([]event.Event, error) {
	consumer, err := j.consumer(ctx, f)
	if err != nil {
		return nil, err
	}
	info, err := consumer.Info(ctx)
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	var list []event.Event
	if info.NumPending == 0 {
		return nil, nil
	}
	err = each(ctx, consumer, func(e event.Event, pending uint64) error {
		list = append(list, e)
		if pending == 0 || uint64(len(list)) >= info.NumPending {
			return ErrStop
		}
		return nil
	})
	return list, err
}

// Follow calls do for each selected event, first those that are recorded, then
// each new one, until do returns an error or ctx ends. With ErrStop it returns
// nil.
func (j *Journal) Follow(ctx context.Context, f Filter, do func(event.Event) error) error {
	consumer, err := j.consumer(ctx, f)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel(nil)
	// An ordered consumer tries for ever to come back, even on a connection that
	// is closed.
	closed := j.js.Conn().StatusChanged(nats.CLOSED)
	defer j.js.Conn().RemoveStatusListener(closed)
	watching.Go(func() {
		select {
		case <-closed:
			cancel(ErrGone)
		case <-ctx.Done():
		}
	})
	err = each(ctx, consumer, func(e event.Event, _ uint64) error { return do(e) })
	if err != nil && j.js.Conn().IsClosed() {
		return fmt.Errorf("read journal: %w", ErrGone)
	}
	return err
}

func (j *Journal) consumer(ctx context.Context, f Filter) (jetstream.Consumer, error) {
	config := jetstream.OrderedConsumerConfig{FilterSubjects: f.subjects(), DeliverPolicy: jetstream.DeliverAllPolicy}
	if !f.Since.IsZero() {
		config.DeliverPolicy, config.OptStartTime = jetstream.DeliverByStartTimePolicy, &f.Since
	}
	consumer, err := j.stream.OrderedConsumer(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	return consumer, nil
}

func (f Filter) subjects() []string {
	run := f.Run
	if run == "" {
		run = "*"
	}
	if len(f.Types) == 0 {
		return []string{Prefix + "." + run + ".>"}
	}
	var list []string
	for _, t := range f.Types {
		list = append(list, Prefix+"."+run+"."+tokens(t))
	}
	return list
}

// each hands over the consumer's events and how many are waiting behind each. A
// message that is no event, which somebody else put into the stream, is passed
// over.
func each(ctx context.Context, consumer jetstream.Consumer, do func(event.Event, uint64) error) error {
	messages, err := consumer.Messages()
	if err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	defer messages.Stop()
	for {
		message, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return fmt.Errorf("read journal: %w", err)
		}
		meta, err := message.Metadata()
		if err != nil {
			return fmt.Errorf("read journal: %w", err)
		}
		var e event.Event
		if json.Unmarshal(message.Data(), &e) != nil {
			continue
		}
		if err := do(e, meta.NumPending); errors.Is(err, ErrStop) {
			return nil
		} else if err != nil {
			return err
		}
	}
}
