package rig

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"syscall"

	"github.com/nats-io/nats.go"

	"refit.dev/test/chaos/fault"
)

// Point is a point at which the process that runs a rig dies.
type Point struct {
	// At is the proxy through which a request comes (s3, broker, launcher,
	// mlflow, function), or nats for a message that the bus carries.
	At string
	// What matches "METHOD /path?query" of the request, or "subject data" of the
	// message: what a stream stores, and what consumers acknowledge.
	What string
	// After is to die when the request is answered and nobody knows, instead of
	// before anybody saw it. A message is always on its way already.
	After bool
	// Skip is how many of them pass first.
	Skip int
}

// die ends this process as a power cut would.
func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // nothing more happens here
}

// Arm makes a running rig die at p, once the bus has carried to their ends the
// messages of earlier runs: a platform that was killed leaves some to the next.
func (p Point) Arm(ctx context.Context, r *Rig) error {
	if p.At == "" {
		return nil
	}
	what, err := regexp.Compile(p.What)
	if err != nil {
		return fmt.Errorf("point: %w", err)
	}
	if err := idle(ctx, r.Connection().NATS); err != nil {
		return fmt.Errorf("point: wait for an idle bus: %w", err)
	}
	if p.At == "nats" {
		return p.listen(r, what)
	}
	proxy, err := r.Proxy(p.At)
	if err != nil {
		return err
	}
	rules := []fault.Rule{{Request: what, Before: die}}
	if p.After {
		rules = []fault.Rule{{Request: what, After: die}}
	}
	if p.Skip > 0 {
		rules = append([]fault.Rule{{Request: what, Times: p.Skip}}, rules...)
	}
	proxy.Break(rules...)
	return nil
}

func (p Point) listen(r *Rig, what *regexp.Regexp) error {
	c := r.Connection().NATS
	conn, err := nats.Connect(c.URL, nats.Token(c.Token))
	if err != nil {
		return fmt.Errorf("point: listen to the bus: %w", err)
	}
	seen := 0
	_, err = conn.Subscribe(">", func(m *nats.Msg) {
		if !what.MatchString(m.Subject + " " + string(m.Data)) {
			return
		}
		if seen++; seen > p.Skip {
			die()
		}
	})
	if err != nil {
		return fmt.Errorf("point: listen to the bus: %w", err)
	}
	return conn.Flush()
}
