package broker

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
)

// local carries requests to a handler of this process, which sees what it would
// see of a request over the network. The network costs more than all else that
// is done for an event.
type local struct{ handler http.Handler }

// RoundTrip returns the handler's answer. A handler that does not heed the end
// of its request's context is left to itself, as a server does.
func (l local) RoundTrip(r *http.Request) (*http.Response, error) {
	arrived := r.Clone(r.Context())
	arrived.RequestURI, arrived.RemoteAddr = r.URL.RequestURI(), "local"
	if arrived.Host == "" {
		arrived.Host = r.URL.Host
	}
	if arrived.Body == nil {
		arrived.Body = http.NoBody
	}
	answered := make(chan *answer, 1)
	go func() {
		a := &answer{header: http.Header{}}
		defer func() {
			_ = arrived.Body.Close()
			if p := recover(); p != nil {
				a.failed = fmt.Errorf("the handler panicked: %v", p)
			}
			answered <- a
		}()
		l.handler.ServeHTTP(a, arrived)
	}()
	select {
	case a := <-answered:
		return a.response(r), a.failed
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// answer is what a handler writes.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
	failed error
}

// Header is the header to be sent.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader sets the status; the first one counts.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= http.StatusOK {
		a.status = status
	}
}

// Write adds to the body.
func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(b)
}

func (a *answer) response(r *http.Request) *http.Response {
	if a.failed != nil {
		return nil
	}
	a.WriteHeader(http.StatusOK)
	return &http.Response{
		Status: fmt.Sprintf("%d %s", a.status, http.StatusText(a.status)), StatusCode: a.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.header, Body: io.NopCloser(&a.body), ContentLength: int64(a.body.Len()), Request: r,
	}
}
