package broker

import (
	"testing"
	"testing/fstest"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"
)

const head = `apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: refit, annotations: {eventing.knative.dev/broker.class: NatsJetStreamBroker}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: work}
spec:
  broker: refit
  subscriber: {uri: "http://127.0.0.1:1/"}
`

// TestFilterDialects holds every dialect that Knative has against one event:
// type dev.refit.workload.ended, source /refit/source, stage train, attempt 2,
// no outcome.
func TestFilterDialects(t *testing.T) {
	tests := map[string]struct {
		spec string
		want bool
	}{
		"no filter":                          {``, true},
		"legacy attributes that match":       {`filter: {attributes: {type: dev.refit.workload.ended, stage: train}}`, true},
		"a legacy attribute that does not":   {`filter: {attributes: {type: dev.refit.workload.ended, stage: tune}}`, false},
		"a legacy attribute of any value":    {`filter: {attributes: {stage: ""}}`, true},
		"a legacy attribute that is missing": {`filter: {attributes: {outcome: ""}}`, false},
		"filters come before legacy ones":    {"filter: {attributes: {stage: tune}}\n  filters: [{exact: {stage: train}}]", true},
		"exact":                              {`filters: [{exact: {type: dev.refit.workload.ended}}]`, true},
		"exact in case":                      {`filters: [{exact: {type: dev.refit.workload.Ended}}]`, false},
		"exact on two attributes":            {`filters: [{exact: {type: dev.refit.workload.ended, stage: train}}]`, true},
		"exact on two of which one fails":    {`filters: [{exact: {type: dev.refit.workload.ended, stage: tune}}]`, false},
		"exact on a number":                  {`filters: [{exact: {attempt: "2"}}]`, true},
		"exact on a missing attribute":       {`filters: [{exact: {outcome: succeeded}}]`, false},
		"prefix":                             {`filters: [{prefix: {type: dev.refit.}}]`, true},
		"prefix that does not match":         {`filters: [{prefix: {type: refit.}}]`, false},
		"suffix":                             {`filters: [{suffix: {type: .ended}}]`, true},
		"suffix that does not match":         {`filters: [{suffix: {type: .started}}]`, false},
		"all":                                {`filters: [{all: [{prefix: {type: dev.}}, {suffix: {type: .ended}}]}]`, true},
		"all of which one fails":             {`filters: [{all: [{prefix: {type: dev.}}, {suffix: {type: .started}}]}]`, false},
		"any of which one passes":            {`filters: [{any: [{prefix: {type: com.}}, {suffix: {type: .ended}}]}]`, true},
		"any of which none passes":           {`filters: [{any: [{prefix: {type: com.}}, {suffix: {type: .started}}]}]`, false},
		"not":                                {`filters: [{not: {exact: {stage: tune}}}]`, true},
		"not of one that passes":             {`filters: [{not: {exact: {stage: train}}}]`, false},
		"several filters are all":            {`filters: [{exact: {stage: train}}, {exact: {source: /other}}]`, false},
		"cesql":                              {`filters: [{cesql: "type LIKE 'dev.refit.%' AND stage = 'train' AND attempt > 1"}]`, true},
		"cesql that is false":                {`filters: [{cesql: "stage IN ('prepare', 'tune')"}]`, false},
		"cesql on what exists":               {`filters: [{cesql: "EXISTS stage AND NOT EXISTS outcome"}]`, true},
		"cesql on a missing attribute":       {`filters: [{cesql: "outcome = 'lost'"}]`, false},
	}
	e := event.New()
	e.SetID("1")
	e.SetType("dev.refit.workload.ended")
	e.SetSource("/refit/source")
	e.SetExtension("stage", "train")
	e.SetExtension("attempt", 2)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			m, err := Load(fstest.MapFS{"all.yaml": {Data: []byte(head + "  " + test.spec)}})
			require.NoError(t, err)
			f, err := newFilter(m.Triggers[0])
			require.NoError(t, err)
			got, err := passes(filterContext(t.Context()), f, e)
			require.NoError(t, err)
			require.Equal(t, test.want, got)
		})
	}
}

func TestRecentParsesAnEventOnce(t *testing.T) {
	r := &recent{}
	data := []byte(`{"specversion":"1.0","id":"1","source":"/s","type":"t"}`)
	first, err := r.parse(7, data)
	require.NoError(t, err)
	again, err := r.parse(7, data)
	require.NoError(t, err)
	require.Same(t, first, again)

	other, err := r.parse(7+recentEvents, []byte(`{"specversion":"1.0","id":"2","source":"/s","type":"t"}`))
	require.NoError(t, err)
	require.Equal(t, "2", other.ID(), "another event of the same slot")
	again, err = r.parse(7, data)
	require.NoError(t, err)
	require.Equal(t, "1", again.ID())

	_, err = r.parse(8, []byte(`{"specversion":"1.0","source":"/s","type":"t"}`))
	require.Error(t, err, "no id")
}
