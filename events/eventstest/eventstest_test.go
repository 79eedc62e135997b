package eventstest_test

import (
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/events/eventstest"
)

func TestMatchers(t *testing.T) {
	data := events.Failed{Run: "r-20261123-060000-0a1b2c3d", Stage: events.Train, Attempt: 1, Reason: "BadInput", Message: "m"}
	cause, other := event.New(), event.New()
	cause.SetID("cause")
	other.SetID("other")
	e, err := events.Envelope{
		Type: events.Train.Failed(), Source: events.FunctionSource(events.Train), Run: data.Run, Stage: events.Train, Cause: cause.ID(),
	}.Event(data)
	require.NoError(t, err)
	broken := e.Clone()
	require.NoError(t, broken.SetData(event.ApplicationJSON, map[string]any{}))

	require.NoError(t, eventstest.Is(events.Train.Failed())(e))
	require.Error(t, eventstest.Is(events.Tune.Failed())(e))
	require.Error(t, eventstest.Is(events.Train.Failed())(broken), "the data breaks its schema")
	require.NoError(t, eventstest.InRun(data.Run)(e))
	require.Error(t, eventstest.InRun("r-20261123-060000-ffffffff")(e))
	require.NoError(t, eventstest.CausedBy(cause)(e))
	require.Error(t, eventstest.CausedBy(other)(e))
	require.NoError(t, eventstest.Says(data)(e))
	require.ErrorContains(t, eventstest.Says(events.Failed{})(e), "BadInput")
	require.Equal(t, data, eventstest.DataAs[events.Failed](t, e))
}
