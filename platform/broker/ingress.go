package broker

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
)

// ServeHTTP is the broker's ingress: a POST of one CloudEvent, binary or
// structured, to /<namespace>/<name>. It answers 202 when the event is stored,
// 4xx with a sentence when it never can be, and 503 when it could not be
// stored now.
func (b *Broker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path != b.path:
		http.Error(w, fmt.Sprintf("no broker at %s: events are taken at %s", r.URL.Path, b.path), http.StatusNotFound)
		return
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, fmt.Sprintf("method %s: events are taken by POST", r.Method), http.StatusMethodNotAllowed)
		return
	}
	e, err := receive(w, r, b.config.MaxEventBytes)
	if err == nil {
		err = b.Send(r.Context(), *e)
	}
	b.answer(w, r, err)
}

func (b *Broker) answer(w http.ResponseWriter, r *http.Request, err error) {
	var refused *RefusedError
	switch {
	case err == nil:
		w.WriteHeader(http.StatusAccepted)
	case errors.As(err, &refused) && refused.TooLarge:
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
	case errors.As(err, &refused):
		http.Error(w, err.Error(), http.StatusBadRequest)
	default:
		b.config.Logger.Warn("event not stored", "error", err, "remote", r.RemoteAddr)
		w.Header().Set("Retry-After", "1")
		http.Error(w, "the event was not stored, send it again", http.StatusServiceUnavailable)
	}
}

// receive reads the one event of a request.
func receive(w http.ResponseWriter, r *http.Request, limit int) (*event.Event, error) {
	r.Body = http.MaxBytesReader(w, r.Body, int64(limit))
	message := cehttp.NewMessageFromHttpRequest(r)
	switch message.ReadEncoding() {
	case binding.EncodingBatch:
		return nil, &RefusedError{Reason: "batches are not taken: send one event a request, structured or binary"}
	case binding.EncodingUnknown:
		if version := r.Header.Get("Ce-Specversion"); version != "" {
			return nil, &RefusedError{Reason: fmt.Sprintf("the header Ce-Specversion is %q: accepted is 1.0", version)}
		}
		return nil, &RefusedError{Reason: fmt.Sprintf("the request is no CloudEvent: it needs the header Ce-Specversion (binary) or Content-Type application/cloudevents+json (structured, found %q)", r.Header.Get("Content-Type"))}
	default: // binary or structured
	}
	e, err := binding.ToEvent(r.Context(), message)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, tooLarge(limit)
	case err != nil:
		return nil, &RefusedError{Reason: fmt.Sprintf("the request cannot be read as a CloudEvent: %s: it needs specversion 1.0, id, source and type", oneLine(err.Error()))}
	}
	return e, nil
}
