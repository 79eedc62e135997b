// Package fault stands between a client and an HTTP server, passes everything
// on, and breaks what it is told to break: answers in the server's place, lets
// an answer wait, or calls a function when a certain request comes or was
// answered. What dies by such a function dies just there.
package fault

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"sync"
	"time"
)

// Rule says what becomes of requests.
type Rule struct {
	// Request matches "METHOD /path?query" of the requests that are meant.
	Request *regexp.Regexp
	// Times is how many requests are meant, all of them if it is 0.
	Times int
	// Delay is how long a request waits before anything else becomes of it.
	Delay time.Duration
	// Before is called when a request has come and nobody has seen it yet.
	Before func()
	// Status answers instead of the server, if it is set.
	Status int
	// After is called when the server has answered and the client does not know.
	After func()
}

// Proxy is a server that passes on what it gets. The methods are safe for
// concurrent use.
type Proxy struct {
	// URL is where clients ask.
	URL string

	server *httptest.Server

	mu     sync.Mutex
	target *url.URL
	rules  []*rule
}

type rule struct {
	Rule

	met int
}

// New starts a proxy without a target, which answers 503.
func New() *Proxy {
	p := &Proxy{}
	passing := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(p.to())
			r.Out.Host = r.In.Host // signatures of S3 hold the host that the client asked
		},
		ModifyResponse: func(response *http.Response) error {
			if r, found := response.Request.Context().Value(key{}).(*rule); found && r.After != nil {
				r.After()
			}
			return nil
		},
	}
	p.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.serve(w, r, passing) }))
	p.URL = p.server.URL
	return p
}

// Close ends the proxy when its requests are answered.
func (p *Proxy) Close() { p.server.Close() }

// Target says where requests go, the URL of a server without a path.
func (p *Proxy) Target(server string) error {
	target, err := url.Parse(server)
	if err == nil && target.Host == "" {
		err = errors.New("it has no host")
	}
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = &url.URL{Scheme: target.Scheme, Host: target.Host}
	return nil
}

func (p *Proxy) to() *url.URL {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.target
}

// Break replaces all rules; the first that matches counts. Break() mends.
func (p *Proxy) Break(rules ...Rule) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules = nil
	for _, r := range rules {
		p.rules = append(p.rules, &rule{Rule: r})
	}
}

// Met is how many requests the rules met since Break.
func (p *Proxy) Met() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	met := 0
	for _, r := range p.rules {
		met += r.met
	}
	return met
}
