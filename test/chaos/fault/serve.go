package fault

import (
	"context"
	"net/http"
	"time"
)

// key is where a request's context keeps its rule.
type key struct{}

// match finds the rule for a request and counts it.
func (p *Proxy) match(r *http.Request) *rule {
	line := r.Method + " " + r.URL.RequestURI()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, rule := range p.rules {
		if rule.Request.MatchString(line) && (rule.Times == 0 || rule.met < rule.Times) {
			rule.met++
			return rule
		}
	}
	return nil
}

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request, passing http.Handler) {
	if p.to() == nil {
		http.Error(w, "there is nobody behind the proxy yet", http.StatusServiceUnavailable)
		return
	}
	rule := p.match(r)
	if rule == nil {
		passing.ServeHTTP(w, r)
		return
	}
	if !wait(r.Context(), rule.Delay) {
		return
	}
	if rule.Before != nil {
		rule.Before()
	}
	if rule.Status != 0 {
		http.Error(w, "a fault for a test", rule.Status)
		return
	}
	passing.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, rule)))
}

// wait tells whether d went by before ctx was done.
func wait(ctx context.Context, d time.Duration) bool {
	if d == 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Lose is an After by which the client never hears the answer.
func Lose() { panic(http.ErrAbortHandler) }
