package broker_test

import (
	"fmt"
	"net/http"
	"testing"

	cetest "github.com/cloudevents/sdk-go/v2/test"
	"github.com/stretchr/testify/require"

	"refit.dev/platform/broker"
)

// mounted starts a broker whose trigger "work" leads to a host that no network
// has: w is served by this process. Its dead letters go to letters, over HTTP.
func mounted(t *testing.T, delivery string, w http.Handler) (b *broker.Broker, letters *service) {
	t.Helper()
	letters = newService(t, taken)
	m := manifests(t, triggerYAML("work", "  delivery:", delivery, deadLetterYAML))
	c := config(startBus(t, t.TempDir()), m, nil)
	c.Resolve = func(_, name string) (string, error) {
		if name == "letters" {
			return letters.url, nil
		}
		return "http://refit.invalid/functions/" + name, nil
	}
	c.Local = func(host string) http.Handler {
		if host == "refit.invalid" {
			return w
		}
		return nil
	}
	b = newBroker(t, c)
	run(t, b)
	return b, letters
}

func TestDeliverWithoutTheNetwork(t *testing.T) {
	reply := newEvent("reply")
	w := &service{got: make(chan received, 10), handle: always(response{status: http.StatusOK, reply: &reply})}
	mux := http.NewServeMux()
	mux.Handle("POST refit.invalid/functions/work", w)
	b, letters := mounted(t, "    retry: 0", mux)
	send(t, b, newEvent("1"))

	got := w.next(t)
	require.Equal(t, "/functions/work", got.path)
	cetest.AssertEventEquals(t, newEvent("1"), got.event)
	cetest.AssertEventEquals(t, reply, w.next(t).event)
	requireSettled(t, b)
	letters.none(t)
}

func TestLocalHandlerThatFailsIsAskedAgain(t *testing.T) {
	never := make(chan struct{})
	for name, fail := range map[string]func(http.ResponseWriter, *http.Request){
		"it says so":         func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"it panics":          func(http.ResponseWriter, *http.Request) { panic("no idea") },
		"it does not answer": func(http.ResponseWriter, *http.Request) { <-never },
	} {
		t.Run(name, func(t *testing.T) {
			w := &service{got: make(chan received, 10), handle: taken}
			attempts := make(chan struct{}, 10)
			b, letters := mounted(t, "    retry: 2\n    backoffPolicy: linear\n    backoffDelay: PT0.01S\n    timeout: PT0.2S",
				http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					attempts <- struct{}{}
					if len(attempts) == 1 {
						fail(rw, r)
						return
					}
					w.ServeHTTP(rw, r)
				}))
			send(t, b, newEvent("1"))
			cetest.AssertEventEquals(t, newEvent("1"), w.next(t).event)
			requireSettled(t, b)
			letters.none(t)
		})
	}
	close(never)
}

func TestLocalHandlerThatRefusesMakesADeadLetter(t *testing.T) {
	b, letters := mounted(t, "    retry: 5", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "bad parquet", http.StatusBadRequest)
	}))
	send(t, b, newEvent("1"))
	letter := letters.next(t).event
	require.Equal(t, "400", fmt.Sprint(letter.Extensions()["knativeerrorcode"]))
	require.Equal(t, "http://refit.invalid/functions/work", letter.Extensions()["knativeerrordest"])
	requireSettled(t, b)
}
