package broker_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/stretchr/testify/require"

	"refit.dev/platform/broker"
	"refit.dev/platform/bus"
)

// patience bounds every wait; a test that reaches it has failed.
const patience = 20 * time.Second

const brokerYAML = `
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata:
  name: refit
  annotations:
    eventing.knative.dev/broker.class: NatsJetStreamBroker
`

// triggerYAML is a trigger to Service <name> with more lines for its spec,
// which stand two spaces deep.
func triggerYAML(name string, spec ...string) string {
	return fmt.Sprintf(`
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata:
  name: %[1]s
spec:
  broker: refit
  subscriber:
    ref:
      apiVersion: serving.knative.dev/v1
      kind: Service
      name: %[1]s
%[2]s
`, name, strings.Join(spec, "\n"))
}

const deadLetterYAML = `
    deadLetterSink:
      ref:
        apiVersion: serving.knative.dev/v1
        kind: Service
        name: letters
      uri: /dead-letter?kind=event`

func manifests(t testing.TB, documents ...string) *broker.Manifests {
	t.Helper()
	all := append([]string{brokerYAML}, documents...)
	m, err := broker.Load(fstest.MapFS{"all.yaml": {Data: []byte(strings.Join(all, "\n---\n"))}})
	require.NoError(t, err)
	return m
}

// service is a subscriber that shows every event it gets.
type service struct {
	got    chan received
	handle func(attempt int, e event.Event) response
	url    string

	mu       sync.Mutex
	attempts int
}

type received struct {
	event event.Event
	path  string
	media string
	at    time.Time
}

// response is what a service answers: an event if there is one, else text.
// It answers when wait is closed, at once where that is nil.
type response struct {
	status int
	text   string
	reply  *event.Event
	wait   <-chan struct{}
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e, err := binding.ToEvent(r.Context(), cehttp.NewMessageFromHttpRequest(r))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.attempts++
	attempt := s.attempts
	s.mu.Unlock()
	s.got <- received{event: *e, path: r.URL.RequestURI(), media: r.Header.Get("Content-Type"), at: time.Now()}
	answer := s.handle(attempt, *e)
	if answer.wait != nil {
		select {
		case <-answer.wait:
		case <-r.Context().Done():
			return
		}
	}
	if answer.reply != nil {
		_ = cehttp.WriteResponseWriter(r.Context(), binding.ToMessage(answer.reply), answer.status, w)
		return
	}
	http.Error(w, answer.text, answer.status)
}

func always(r response) func(int, event.Event) response {
	return func(int, event.Event) response { return r }
}

func newService(t testing.TB, handle func(int, event.Event) response) *service {
	t.Helper()
	s := &service{got: make(chan received, 1000), handle: handle}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// next waits for the next event of the service.
func (s *service) next(t testing.TB) received {
	t.Helper()
	select {
	case r := <-s.got:
		return r
	case <-time.After(patience):
		require.FailNow(t, "no event came")
		return received{}
	}
}

// none requires that no event came so far.
func (s *service) none(t testing.TB) {
	t.Helper()
	select {
	case r := <-s.got:
		require.FailNow(t, "an event came", r.event.String())
	default:
	}
}

func startBus(t testing.TB, dir string) *bus.Bus {
	t.Helper()
	b, err := bus.Start(context.Background(), bus.Config{Dir: dir, Token: "a-token-for-tests"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// config is a broker's config whose references lead to the services by name.
func config(b *bus.Bus, m *broker.Manifests, services map[string]*service) broker.Config {
	return broker.Config{
		Manifests: m,
		JetStream: b.JetStream(),
		Resolve: func(kind, name string) (string, error) {
			if s, ok := services[name]; ok && kind == "Service" {
				return s.url + "/" + name, nil
			}
			return "", fmt.Errorf("no %s of that name", kind)
		},
	}
}

func newBroker(t testing.TB, c broker.Config) *broker.Broker {
	t.Helper()
	b, err := broker.New(context.Background(), c)
	require.NoError(t, err)
	return b
}

// run runs the broker until the test ends or stop is called.
func run(t testing.TB, b *broker.Broker) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			require.NoError(t, <-done)
		})
	}
	t.Cleanup(stop)
	return stop
}

func newEvent(id string) event.Event {
	e := event.New()
	e.SetID(id)
	e.SetSource("/refit/test")
	e.SetType("dev.refit.test")
	e.SetExtension("correlationid", "r-1")
	_ = e.SetData("application/json", map[string]any{"id": id})
	return e
}

func send(t testing.TB, b *broker.Broker, events ...event.Event) {
	t.Helper()
	for _, e := range events {
		require.NoError(t, b.Send(context.Background(), e))
	}
}

// requireSettled waits until every trigger has settled every event.
func requireSettled(t testing.TB, b *broker.Broker) {
	t.Helper()
	require.Eventually(t, func() bool {
		backlog, err := b.Backlog(context.Background())
		require.NoError(t, err)
		for _, trigger := range backlog {
			if trigger.Waiting+trigger.Underway > 0 {
				return false
			}
		}
		return true
	}, patience, 5*time.Millisecond)
}
