package stage

import (
	"context"
	"fmt"
	"net/http"
	neturl "net/url"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
)

// Emitter sends events. It returns nil only when the event is safe with whoever
// took it. It is safe for concurrent use.
type Emitter interface {
	Emit(ctx context.Context, e event.Event) error
}

// Broker is an Emitter that posts to a broker's address.
type Broker struct{ client cloudevents.Client }

var _ Emitter = (*Broker)(nil)

// The retries of one Emit take about 6 s: after that the caller fails, and the
// event that it handles is delivered to it again.
const (
	emitRetries = 5
	emitDelay   = 100 * time.Millisecond
)

// NewBroker returns an Emitter for the broker at url, K_SINK as Knative says.
func NewBroker(url string) (*Broker, error) {
	if u, err := neturl.Parse(url); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("broker %q: accepted is a URL such as http://broker-ingress.example/default/refit", url)
	}
	// The default keeps two connections to a host: a function that has more
	// events in hand would open one for almost every event that it sends.
	carrier := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // nobody replaces it
	carrier.MaxIdleConnsPerHost = carrier.MaxIdleConns
	client, err := cloudevents.NewClientHTTP(
		cehttp.WithTarget(url),
		cehttp.WithRoundTripper(carrier),
		cehttp.WithIsRetriableFunc(isRetriable),
	)
	if err != nil {
		return nil, fmt.Errorf("make a sender for %s: %w", url, err)
	}
	return &Broker{client: client}, nil
}

// Emit posts e until the broker takes it or the retries are used up.
func (b *Broker) Emit(ctx context.Context, e event.Event) error {
	ctx = cloudevents.ContextWithRetriesExponentialBackoff(ctx, emitDelay, emitRetries)
	if result := b.client.Send(ctx, e); !cloudevents.IsACK(result) {
		return fmt.Errorf("send %s: %w", e.Type(), result)
	}
	return nil
}

// isRetriable tells a broker that cannot take an event now from one that never
// will. Other than the SDK, it takes 500 for the former: an ingress answers so
// while its store is down. An event that is too large stays too large.
func isRetriable(status int) bool {
	switch status {
	case http.StatusNotFound, http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests,
		http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}
