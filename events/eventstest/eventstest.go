// Package eventstest has matchers for refit's own attributes, beside those that
// the CloudEvents SDK has for everybody's.
package eventstest

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/test"
	"github.com/stretchr/testify/require"

	"refit.dev/events"
)

// Is matches an event of type t that keeps the rules of refit: a declared type,
// data that fits its schema, and a trace.
func Is(t events.Type) test.EventMatcher {
	return test.AllOf(test.HasType(string(t)), test.ContainsExtensions(events.ExtTraceparent), events.Validate)
}

// InRun matches an event that tells in both ways which run it belongs to.
func InRun(run string) test.EventMatcher {
	return test.AllOf(test.HasSubject(run), test.HasExtension(events.ExtCorrelationID, run))
}

// CausedBy matches an event that names the cause.
func CausedBy(cause event.Event) test.EventMatcher {
	return test.HasExtension(events.ExtCausationID, cause.ID())
}

// Says matches an event whose data, as a D, is want.
func Says[D any](want D) test.EventMatcher {
	return func(e event.Event) error {
		var got D
		if err := e.DataAs(&got); err != nil {
			return fmt.Errorf("data of %s: %w", e.Type(), err)
		}
		a, err := json.Marshal(want)
		if err != nil {
			return fmt.Errorf("encode what is wanted: %w", err)
		}
		b, err := json.Marshal(got)
		if err != nil {
			return fmt.Errorf("encode the data of %s: %w", e.Type(), err)
		}
		if string(a) != string(b) {
			return fmt.Errorf("data of %s is %s, not %s", e.Type(), b, a)
		}
		return nil
	}
}

// DataAs reads the data of e.
func DataAs[D any](t testing.TB, e event.Event) D {
	t.Helper()
	var data D
	require.NoError(t, e.DataAs(&data))
	return data
}
