package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Stream is the name of the stream, and Prefix what each of its subjects begins
// with: refit.<run>.<type>, with "_" for an event of no run.
const (
	Stream = "REFIT"
	Prefix = "refit"
)

// duplicateWindow is how long the stream knows a message id. A copy that comes
// later is stored again; readers bear that.
const duplicateWindow = 10 * time.Minute

// ErrMissing means that there is no journal yet.
var ErrMissing = errors.New("there is no journal yet")

// Journal is the stream of all events. It is safe for concurrent use.
type Journal struct {
	js     jetstream.JetStream
	stream jetstream.Stream
}

// Open returns the journal for writing and reading. It makes the stream or
// brings an older one up to date: on disk, kept for ever, subjects refit.>.
func Open(ctx context.Context, js jetstream.JetStream) (*Journal, error) {
	stream, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:        Stream,
		Description: "every event of refit, as structured JSON",
		Subjects:    []string{Prefix + ".>"},
		Retention:   jetstream.LimitsPolicy,
		Storage:     jetstream.FileStorage,
		Duplicates:  duplicateWindow,
	})
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	return &Journal{js: js, stream: stream}, nil
}

// Attach returns the journal for reading and changes nothing. It fails with
// ErrMissing if nobody has opened it yet.
func Attach(ctx context.Context, js jetstream.JetStream) (*Journal, error) {
	stream, err := js.Stream(ctx, Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, ErrMissing
	}
	if err != nil {
		return nil, fmt.Errorf("attach to journal: %w", err)
	}
	return &Journal{js: js, stream: stream}, nil
}

// Record stores e and returns when the store has acknowledged it. The same
// event (source, type and id) again within ten minutes is acknowledged and not
// stored. A *RefusedError means that e can never be stored.
func (j *Journal) Record(ctx context.Context, e event.Event) error {
	return j.publish(ctx, e, Subject(e), e.Source(), e.Type(), e.ID())
}

// RecordDeadLetter stores an event that a trigger could not deliver, with
// Knative's account of the failure in its extensions. An account that makes the
// event too large for a message takes the place of the event's data.
func (j *Journal) RecordDeadLetter(ctx context.Context, e event.Event) error {
	destination, _ := e.Extensions()["knativeerrordest"].(string)
	parts := []string{e.Source(), e.Type(), e.ID(), deadLetter, destination}
	err := j.publish(ctx, e, deadLetterSubject(e), parts...)
	var refused *RefusedError
	if errors.As(err, &refused) && refused.TooLarge {
		e = e.Clone()
		e.DataEncoded = nil
		e.SetDataContentType("")
		err = j.publish(ctx, e, deadLetterSubject(e), parts...)
	}
	return err
}

func (j *Journal) publish(ctx context.Context, e event.Event, subject string, identity ...string) error {
	body, err := encode(e, j.limit())
	if err != nil {
		return err
	}
	message := nats.NewMsg(subject)
	message.Data = body
	if _, err := j.js.PublishMsg(ctx, message, jetstream.WithMsgID(messageID(identity...))); err != nil {
		return fmt.Errorf("record event %s: %w", e.ID(), err)
	}
	return nil
}

// limit is the largest event, in structured JSON, beside a message's headers.
func (j *Journal) limit() int {
	const headers = 512
	return int(j.js.Conn().MaxPayload()) - headers
}
