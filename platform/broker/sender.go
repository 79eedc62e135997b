package broker

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/hashicorp/go-retryablehttp"
	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"
	"knative.dev/eventing/pkg/eventingtls"
	"knative.dev/eventing/pkg/kncloudevents"
	duckv1 "knative.dev/pkg/apis/duck/v1"
)

const (
	// maxIdle is how many idle connections are kept to a subscriber: more than
	// are delivered to at a time.
	maxIdle = 100
	// idleTime is how long they are kept.
	idleTime = 90 * time.Second
)

// sender posts events to one destination, with a trigger's retries. It does what
// Knative's dispatcher does, which always takes the network and makes clients,
// clones and spans anew for each event.
type sender struct {
	url    *url.URL
	client retryablehttp.Client
	format eventingduckv1.FormatType
}

// report is how a delivery went.
type report struct {
	code   int
	header http.Header
	body   []byte
}

func newSender(c Config, to *duckv1.Addressable, retry kncloudevents.RetryConfig) (*sender, error) {
	carrier, err := transport(c, to)
	if err != nil {
		return nil, err
	}
	return &sender{url: to.URL.URL(), client: retryablehttp.Client{
		HTTPClient: &http.Client{Transport: carrier, Timeout: retry.RequestTimeout},
		RetryMax:   retry.RetryMax,
		CheckRetry: retryablehttp.CheckRetry(retry.CheckRetry),
		Backoff: func(_, _ time.Duration, attempt int, r *http.Response) time.Duration {
			return retry.Backoff(attempt, r)
		},
		ErrorHandler: func(r *http.Response, err error, _ int) (*http.Response, error) { return r, err },
	}}, nil
}

// close gives up the connections that are kept.
func (s *sender) close() { s.client.HTTPClient.CloseIdleConnections() }

// transport is how to reach a destination.
func transport(c Config, to *duckv1.Addressable) (http.RoundTripper, error) {
	if c.Local != nil {
		if h := c.Local(to.URL.Host); h != nil {
			return local{handler: h}, nil
		}
	}
	t := &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
		MaxIdleConns: maxIdle, MaxIdleConnsPerHost: maxIdle, IdleConnTimeout: idleTime,
	}
	if to.CACerts != nil {
		config, err := eventingtls.GetTLSClientConfig(eventingtls.ClientConfig{CACerts: to.CACerts})
		if err != nil {
			return nil, fmt.Errorf("CACerts: %w", err)
		}
		t.TLSClientConfig = config
	}
	return t, nil
}

// send posts the event until it is taken or the retries are used up. The error
// says why it was not taken; the report then has Knative's account of that.
func (s *sender) send(ctx context.Context, e *event.Event, change ...binding.Transformer) (report, error) {
	if len(change) > 0 {
		own := e.Clone()
		e = &own
	}
	r, err := s.request(ctx, e, change)
	if err != nil {
		return report{code: -1}, err
	}
	answer, err := s.client.Do(r)
	if err != nil {
		return report{code: http.StatusInternalServerError, body: fmt.Appendf(nil, "dispatch error: %v", err)}, fmt.Errorf("post to %s: %w", s.url, err)
	}
	defer func() { _ = answer.Body.Close() }() // it has been read
	told := report{code: answer.StatusCode, header: answer.Header}
	told.body, err = io.ReadAll(answer.Body)
	switch {
	case answer.StatusCode < http.StatusOK || answer.StatusCode >= http.StatusMultipleChoices:
		return told, fmt.Errorf("post to %s: unexpected HTTP response, expected 2xx, got %d", s.url, answer.StatusCode)
	case err != nil:
		told.code = http.StatusInternalServerError
		return told, fmt.Errorf("post to %s: read the answer: %w", s.url, err)
	}
	return told, nil
}

func (s *sender) request(ctx context.Context, e *event.Event, change []binding.Transformer) (*retryablehttp.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url.String(), http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("make a request: %w", err)
	}
	switch s.format {
	case eventingduckv1.DeliveryFormatBinary:
		ctx = binding.WithForceBinary(ctx)
	case eventingduckv1.DeliveryFormatJson:
		ctx = binding.WithForceStructured(ctx)
	}
	if err := cehttp.WriteRequest(ctx, binding.ToMessage(e), r, change...); err != nil {
		return nil, fmt.Errorf("write event %s: %w", e.ID(), err)
	}
	r.Header.Set("Prefer", "reply")
	again, err := retryablehttp.FromRequest(r)
	if err != nil {
		return nil, fmt.Errorf("make a request: %w", err)
	}
	return again, nil
}
