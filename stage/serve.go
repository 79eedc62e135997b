package stage

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/cloudevents/sdk-go/v2/binding"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
)

// ServeHTTP takes the one event of a request, binary or structured. It answers
// 200 when the event is done with, 4xx with a sentence when it is none, and 500
// with the error when it is to be sent again.
//
// It stands in for the SDK's receiver, which func-go uses. That one passes every
// event through one channel, from which any request under way may take it. Once
// a request ends without having taken one, because its caller gave up or another
// was faster, each event waits for the next to come.
func (f *Function) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, fmt.Sprintf("method %s: events are taken by POST", r.Method), http.StatusMethodNotAllowed)
		return
	}
	e, err := binding.ToEvent(r.Context(), cehttp.NewMessageFromHttpRequest(r))
	if err == nil {
		err = e.Validate()
	}
	switch {
	case errors.Is(err, binding.ErrUnknownEncoding):
		http.Error(w, "the request is no CloudEvent, structured or binary", http.StatusUnsupportedMediaType)
		return
	case err != nil:
		http.Error(w, fmt.Sprintf("the request cannot be read as a CloudEvent: %v", err), http.StatusBadRequest)
		return
	}
	if _, err := f.Handle(r.Context(), *e); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// Handler serves events at every path but those below /health/, which go to
// probes: func-go's handler knows them.
func (f *Function) Handler(probes http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/health/", probes)
	mux.Handle("/", f)
	return mux
}
