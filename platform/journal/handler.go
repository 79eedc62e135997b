package journal

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
)

// DeadLetterPath is where a trigger's dead letter sink posts, below the path at
// which the handler stands.
const DeadLetterPath = "/dead-letter"

// Handler receives events, binary or structured: by POST to "/" what a trigger
// delivers, to DeadLetterPath what one could not deliver. It answers 202 after
// the store's acknowledgement, 400 or 413 with a sentence when the event can
// never be stored, and 503 when it could not be stored now.
func (j *Journal) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		record, found := map[string]func(context.Context, event.Event) error{
			"": j.Record, DeadLetterPath: j.RecordDeadLetter,
		}[strings.TrimSuffix(r.URL.Path, "/")]
		switch {
		case !found:
			http.Error(w, fmt.Sprintf("the journal has no path %s: post events to / and dead letters to %s", r.URL.Path, DeadLetterPath), http.StatusNotFound)
		case r.Method != http.MethodPost:
			w.Header().Set("Allow", http.MethodPost)
			http.Error(w, fmt.Sprintf("method %s: the journal takes events by POST", r.Method), http.StatusMethodNotAllowed)
		default:
			e, err := receive(w, r, int64(j.limit()))
			if err == nil {
				err = record(r.Context(), *e)
			}
			answer(w, err)
		}
	})
}

// receive reads the one event of a request.
func receive(w http.ResponseWriter, r *http.Request, limit int64) (*event.Event, error) {
	r.Body = http.MaxBytesReader(w, r.Body, limit)
	message := cehttp.NewMessageFromHttpRequest(r)
	if encoding := message.ReadEncoding(); encoding != binding.EncodingBinary && encoding != binding.EncodingStructured {
		return nil, &RefusedError{Reason: "the request is no CloudEvent: it needs the header Ce-Specversion (binary) or Content-Type application/cloudevents+json (structured)"}
	}
	e, err := binding.ToEvent(r.Context(), message)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, &RefusedError{TooLarge: true, Reason: fmt.Sprintf("it has more than %d bytes", large.Limit)}
	case err != nil:
		return nil, &RefusedError{Reason: fmt.Sprintf("it cannot be read as a CloudEvent: %v", err)}
	}
	return e, nil
}

func answer(w http.ResponseWriter, err error) {
	var refused *RefusedError
	switch {
	case err == nil:
		w.WriteHeader(http.StatusAccepted)
	case errors.As(err, &refused) && refused.TooLarge:
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
	case errors.As(err, &refused):
		http.Error(w, err.Error(), http.StatusBadRequest)
	default:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "the event was not recorded, send it again", http.StatusServiceUnavailable)
	}
}
