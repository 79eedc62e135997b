package broker

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/eventing/pkg/kncloudevents"
	"knative.dev/eventing/pkg/kncloudevents/attributes"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"
)

// defaultTimeout bounds one request of a trigger that names no timeout, as the
// Knative JetStream broker has it.
const defaultTimeout = 30 * time.Second

// replyFunc publishes what a subscriber answered.
type replyFunc func(context.Context, event.Event) error

// delivery brings events to one subscriber, or to its dead letter sink.
type delivery struct {
	config     Config
	subscriber *sender
	deadLetter *sender // nil without a dead letter sink
	reply      replyFunc
}

func newDelivery(c Config, t *eventingv1.Trigger, reply replyFunc) (delivery, error) {
	v := delivery{config: c, reply: reply}
	spec := t.Spec.Delivery
	if spec == nil {
		spec = &eventingduckv1.DeliverySpec{}
	}
	retry, err := kncloudevents.RetryConfigFromDeliverySpec(*spec)
	if err != nil {
		return v, fmt.Errorf("spec.delivery: %w", err)
	}
	if retry.RequestTimeout == 0 {
		retry.RequestTimeout = defaultTimeout
	}
	v.subscriber, err = v.reach(t.Spec.Subscriber, retry)
	if err != nil {
		return v, fmt.Errorf("spec.subscriber: %w", err)
	}
	if spec.Format != nil {
		v.subscriber.format = *spec.Format
	}
	if spec.DeadLetterSink != nil {
		if v.deadLetter, err = v.reach(*spec.DeadLetterSink, retry); err != nil {
			return v, fmt.Errorf("spec.delivery.deadLetterSink: %w", err)
		}
	}
	return v, nil
}

func (v *delivery) reach(d duckv1.Destination, retry kncloudevents.RetryConfig) (*sender, error) {
	to, err := address(v.config, d)
	if err != nil {
		return nil, err
	}
	return newSender(v.config, to, retry)
}

// close gives up the connections to the subscriber and the dead letter sink.
func (v *delivery) close() {
	v.subscriber.close()
	if v.deadLetter != nil {
		v.deadLetter.close()
	}
}

// address finds the URL of a destination. A relative URI beside a ref is put
// behind the ref's path: in a cluster a service stands at the root of its own
// host, here it may be mounted at /<name>.
func address(c Config, d duckv1.Destination) (*duckv1.Addressable, error) {
	if d.Ref == nil {
		return &duckv1.Addressable{URL: d.URI, CACerts: d.CACerts, Audience: d.Audience}, nil
	}
	if c.Resolve == nil {
		return nil, fmt.Errorf("ref: %s %s: there is nothing that resolves references", d.Ref.Kind, d.Ref.Name)
	}
	base, err := c.Resolve(d.Ref.Kind, d.Ref.Name)
	if err != nil {
		return nil, fmt.Errorf("ref: resolve %s %s: %w", d.Ref.Kind, d.Ref.Name, err)
	}
	u, err := url.Parse(base)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return nil, fmt.Errorf("ref: %s %s resolves to %q, which is no URL", d.Ref.Kind, d.Ref.Name, base)
	}
	if d.URI != nil {
		u = u.JoinPath(strings.TrimPrefix(d.URI.Path, "/"))
		u.RawQuery = d.URI.RawQuery
	}
	return &duckv1.Addressable{URL: (*apis.URL)(u), CACerts: d.CACerts, Audience: d.Audience}, nil
}

// deliver answers nil when the event is done with: taken by the subscriber and
// its reply stored, taken by the dead letter sink, or dropped for want of one.
func (v *delivery) deliver(ctx context.Context, e *event.Event) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	told, err := v.subscriber.send(ctx, e)
	if err == nil {
		err = v.forward(ctx, told)
		var refused *RefusedError
		if !errors.As(err, &refused) {
			return err
		}
		told.code, told.body = http.StatusBadRequest, []byte(refused.Error())
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return v.bury(ctx, e, told, err)
}

// forward stores the subscriber's reply. A response that is no event is none.
func (v *delivery) forward(ctx context.Context, told report) error {
	message := cehttp.NewMessage(told.header, io.NopCloser(bytes.NewReader(told.body)))
	if message.ReadEncoding() == binding.EncodingUnknown {
		return nil
	}
	reply, err := binding.ToEvent(ctx, message)
	if err != nil {
		return &RefusedError{Reason: fmt.Sprintf("the reply cannot be read as a CloudEvent: %v", err)}
	}
	if err := v.reply(ctx, *reply); err != nil {
		return fmt.Errorf("forward the reply: %w", err)
	}
	return nil
}

// bury sends the event to the dead letter sink with Knative's account of the
// failure.
func (v *delivery) bury(ctx context.Context, e *event.Event, told report, cause error) error {
	log := v.config.Logger.With("event_id", e.ID(), "event_type", e.Type(), "code", told.code)
	if v.deadLetter == nil {
		log.Error("event could not be delivered and is dropped, its trigger has no dead letter sink", "error", cause)
		return nil
	}
	account := attributes.KnativeErrorTransformers(*v.subscriber.url, told.code, errorData(told.body))
	if _, err := v.deadLetter.send(ctx, e, account...); err != nil {
		return fmt.Errorf("deliver: %w; then to the dead letter sink: %w", cause, err)
	}
	log.Warn("event could not be delivered and went to the dead letter sink", "error", cause)
	return nil
}

// errorData is the response as Knative writes it into knativeerrordata: base64,
// cut at its limit. It is cut before it is encoded, so that it can be decoded.
func errorData(body []byte) string {
	limit := base64.StdEncoding.DecodedLen(attributes.KnativeErrorDataExtensionMaxLength)
	return base64.StdEncoding.EncodeToString(body[:min(len(body), limit)])
}
