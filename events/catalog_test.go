package events_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refit.dev/events"
)

func example(t *testing.T, typ events.Type) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("examples", string(typ)+".json"))
	require.NoError(t, err)
	return b
}

func TestEveryTypeHasStructSchemaAndExample(t *testing.T) {
	for _, d := range events.Catalog() {
		t.Run(string(d.Type), func(t *testing.T) {
			doc := example(t, d.Type)
			require.NoError(t, events.ValidateJSON(d.Schema, doc))
			data := d.New()
			require.NoError(t, json.Unmarshal(doc, data))
			again, err := json.Marshal(data)
			require.NoError(t, err)
			require.JSONEq(t, string(doc), withoutZeros(t, again, doc), "struct and example hold the same fields")
			require.NoError(t, events.ValidateJSON(d.Schema, again))
		})
	}
}

// withoutZeros drops the fields of got that the example leaves out.
func withoutZeros(t *testing.T, got, example []byte) string {
	var g, e map[string]any
	require.NoError(t, json.Unmarshal(got, &g))
	require.NoError(t, json.Unmarshal(example, &e))
	for name := range g {
		if _, in := e[name]; !in {
			delete(g, name)
		}
	}
	b, err := json.Marshal(g)
	require.NoError(t, err)
	return string(b)
}

func TestEveryExampleBelongsToADeclaredType(t *testing.T) {
	files, err := filepath.Glob("examples/*.json")
	require.NoError(t, err)
	require.Len(t, files, len(events.Catalog()))
	for _, f := range files {
		_, declared := events.Declared(events.Type(strings.TrimSuffix(filepath.Base(f), ".json")))
		require.True(t, declared, f)
	}
}

func TestASchemaRefusesWhatTheExampleLacks(t *testing.T) {
	err := events.ValidateJSON("stage.failed", []byte(`{"run":"r-20261123-060000-0a1b2c3d","stage":"bake","attempt":0}`))
	require.ErrorContains(t, err, "/stage")
	require.ErrorContains(t, err, "/attempt")
	require.ErrorContains(t, err, "reason")
	require.ErrorContains(t, events.ValidateJSON("nonsense", []byte("{}")), `no schema named "nonsense"`)
	require.ErrorContains(t, events.ValidateJSON("landing", []byte("{")), "not JSON")
}

func TestUnknownFieldsSurvive(t *testing.T) {
	require.NoError(t, events.ValidateJSON("landing", []byte(`{"reason":"Duplicate","message":"m","later":1}`)))
}

func TestTerminalTypes(t *testing.T) {
	require.True(t, events.ModelRejected.Terminal())
	require.True(t, events.Train.Failed().Terminal())
	require.True(t, events.Train.Cancelled().Terminal())
	require.False(t, events.Train.Completed().Terminal())
}

func TestEnvelopeMakesTheSameEventTwice(t *testing.T) {
	v := events.Envelope{
		Type: events.Train.Failed(), Source: events.FunctionSource(events.Train), Run: "r-20261123-060000-0a1b2c3d",
		Stage: events.Train, Key: "1", Outcome: events.Unsuccessful, Cause: "c", Time: time.Unix(1, 0),
	}
	data := events.Failed{Run: v.Run, Stage: v.Stage, Attempt: 1, Reason: "BadInput", Message: "m"}
	one, err := v.Event(data)
	require.NoError(t, err)
	two, err := v.Event(data)
	require.NoError(t, err)
	require.Equal(t, one, two)
	require.Equal(t, "/refit/functions/train:dev.refit.train.failed:r-20261123-060000-0a1b2c3d:1", one.ID())
	require.Equal(t, v.Run, one.Subject())
	require.Equal(t, v.Run, events.Extension(one, events.ExtCorrelationID))
	require.Equal(t, "c", events.Extension(one, events.ExtCausationID))
	require.Equal(t, "failed", events.Extension(one, events.ExtOutcome))
	require.Empty(t, events.Extension(one, events.ExtReplayOf))
}

func TestEnvelopeRefusesDataThatBreaksItsSchema(t *testing.T) {
	_, err := events.Envelope{Type: events.Train.Failed(), Source: "/s", Run: "r"}.Event(events.Failed{})
	require.ErrorContains(t, err, "data of event dev.refit.train.failed")
}

func TestTraceparentContinuesTheTrace(t *testing.T) {
	first := events.Traceparent("", "r", "a")
	second := events.Traceparent(first, "other", "b")
	require.Len(t, first, 55)
	require.Equal(t, first[:35], second[:35], "same trace")
	require.NotEqual(t, first[36:52], second[36:52], "other span")
}
