package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// RefusedError says why an event can never be stored. Sending it again is of
// no use; every other error of [Broker.Send] is worth another try.
type RefusedError struct {
	// Reason is a sentence for whoever made the event.
	Reason string
	// TooLarge is true when the size alone is in the way.
	TooLarge bool
}

// Error is the reason.
func (e *RefusedError) Error() string { return "event refused: " + e.Reason }

// Send stores the event. Nil means that it survives the end of this process
// and will be delivered; a copy of an event of the last minutes (same source,
// type and id) is answered nil and not stored again. The error is a
// [RefusedError] where the event is at fault.
func (b *Broker) Send(ctx context.Context, e event.Event) error {
	data, err := encode(e, b.config.MaxEventBytes)
	if err != nil {
		return err
	}
	message := nats.NewMsg(b.subjects.of(e.Type()))
	message.Data = data
	if _, err := b.config.JetStream.PublishMsg(ctx, message, jetstream.WithMsgID(MessageID(e))); err != nil {
		return fmt.Errorf("broker: store event %s: %w", e.ID(), err)
	}
	return nil
}

// encode writes the event as structured JSON and refuses what could not be
// read back.
func encode(e event.Event, limit int) ([]byte, error) {
	if err := e.Validate(); err != nil {
		return nil, &RefusedError{Reason: oneLine(err.Error())}
	}
	if name, why := unsendable(e); name != "" {
		return nil, &RefusedError{Reason: fmt.Sprintf("its attribute %s %s", name, why)}
	}
	// The SDK writes data of a media type other than JSON as a string, also
	// when the bytes are no text; such data must go as base64.
	if !e.DataBase64 && !utf8.Valid(e.DataEncoded) {
		e.DataBase64 = true
	}
	data, err := e.MarshalJSON()
	if err != nil {
		return nil, &RefusedError{Reason: fmt.Sprintf("it has no JSON form: %v", err)}
	}
	if len(data) > limit {
		return nil, tooLarge(limit)
	}
	if !json.Valid(data) {
		return nil, &RefusedError{Reason: fmt.Sprintf("its data is not JSON as its datacontenttype %q says", e.DataContentType())}
	}
	return data, nil
}

// maxAttributeBytes is what servers take of one header, with room to spare.
const maxAttributeBytes = 16 << 10

// unsendable names an attribute that CloudEvents does not allow and the SDK
// does not find, or that is too long, and says why. It could be stored, and then
// no HTTP request could carry it: neither to a subscriber nor to a dead letter
// sink.
func unsendable(e event.Event) (name, why string) {
	attributes := map[string]any{
		"id": e.ID(), "source": e.Source(), "type": e.Type(), "subject": e.Subject(),
		"dataschema": e.DataSchema(), "datacontenttype": e.DataContentType(),
	}
	maps.Copy(attributes, e.Extensions())
	for name, value := range attributes {
		text, ok := value.(string)
		switch {
		case !ok:
		case strings.ContainsFunc(text, unicode.IsControl), !utf8.ValidString(text):
			return name, "has a control character or is no UTF-8"
		case len(text) > maxAttributeBytes:
			return name, fmt.Sprintf("is longer than %d bytes: send what is long as data", maxAttributeBytes)
		}
	}
	return "", ""
}

func tooLarge(limit int) *RefusedError {
	return &RefusedError{
		Reason:   fmt.Sprintf("it is larger than %d bytes: put the data into the object store and send its URI", limit),
		TooLarge: true,
	}
}

func oneLine(text string) string {
	return strings.ReplaceAll(strings.TrimSpace(text), "\n", "; ")
}
