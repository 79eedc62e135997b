package broker_test

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"refit.dev/platform/broker"
)

func TestLoadDefaultsAndPassesOverOtherKinds(t *testing.T) {
	m, err := broker.Load(fstest.MapFS{
		"kustomization.yaml":     {Data: []byte("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n")},
		"broker.yaml":            {Data: []byte(brokerYAML)},
		"triggers/b.yaml":        {Data: []byte("# first a remark\n---\n" + triggerYAML("b") + "\n---\n" + triggerYAML("c"))},
		"triggers/a.yml":         {Data: []byte(triggerYAML("a", deliveryYAML))},
		"triggers/not-read.json": {Data: []byte("{")},
	})
	require.NoError(t, err)
	require.Equal(t, "default", m.Broker.Namespace)
	var names []string
	for _, trigger := range m.Triggers {
		names = append(names, trigger.Name)
		require.Equal(t, "default", trigger.Namespace)
		require.Equal(t, "default", trigger.Spec.Subscriber.Ref.Namespace, "defaulted")
		require.Equal(t, "refit", trigger.Labels["eventing.knative.dev/broker"], "defaulted")
	}
	require.Equal(t, []string{"a", "b", "c"}, names)
}

const deliveryYAML = "  delivery: {retry: 3, backoffPolicy: linear, backoffDelay: PT1S, timeout: PT5S}"

func TestLoadGivesABrokerItsClass(t *testing.T) {
	tests := map[string]struct{ file, want string }{
		"none":             {"apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: refit}", "NatsJetStreamBroker"},
		"other settings":   {strings.ReplaceAll(brokerYAML, "eventing.knative.dev/broker.class: NatsJetStreamBroker", "a: b"), "NatsJetStreamBroker"},
		"one of a cluster": {strings.ReplaceAll(brokerYAML, "NatsJetStreamBroker", "MTChannelBasedBroker"), "MTChannelBasedBroker"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			m, err := broker.Load(fstest.MapFS{"broker.yaml": {Data: []byte(test.file)}})
			require.NoError(t, err)
			require.Equal(t, test.want, m.Broker.Annotations["eventing.knative.dev/broker.class"])
		})
	}
}

func TestLoadRefuses(t *testing.T) {
	tests := map[string]struct {
		file string
		want string
	}{
		"an unknown field":              {triggerYAML("a", "  brokr: x"), `bad.yaml: Trigger: error unmarshaling JSON: while decoding JSON: json: unknown field "brokr"`},
		"no name":                       {strings.ReplaceAll(triggerYAML("a"), "name: a\nspec", "labels: {}\nspec"), "bad.yaml: Trigger : metadata.name: it is missing"},
		"no YAML":                       {"a: b: c", "bad.yaml: error converting YAML to JSON"},
		"no kind":                       {"apiVersion: v1\nmetadata: {}", "bad.yaml: apiVersion and kind: one is missing"},
		"another version":               {strings.ReplaceAll(triggerYAML("a"), "knative.dev/v1\nkind: T", "knative.dev/v1beta1\nkind: T"), "bad.yaml: apiVersion: eventing.knative.dev/v1beta1 is not read; accepted is eventing.knative.dev/v1"},
		"another kind":                  {"apiVersion: eventing.knative.dev/v1\nkind: EventType", "bad.yaml: kind: EventType is not read; accepted are Broker and Trigger"},
		"an unknown broker":             {strings.ReplaceAll(triggerYAML("a"), "broker: refit", "broker: other"), "bad.yaml: Trigger a: spec.broker: unknown broker default/other; accepted is default/refit"},
		"no broker":                     {strings.ReplaceAll(triggerYAML("a"), "broker: refit", ""), "bad.yaml: Trigger a: missing field(s): spec.broker"},
		"a broker of another namespace": {strings.ReplaceAll(triggerYAML("a"), "name: a\nspec", "name: a\n  namespace: prod\nspec"), "unknown broker prod/refit"},
		"no subscriber":                 {"apiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata: {name: a}\nspec: {broker: refit}", "bad.yaml: Trigger a: expected at least one, got none: spec.subscriber.ref, spec.subscriber.uri"},
		"a bad delay":                   {triggerYAML("a", "  delivery: {backoffDelay: 200ms}"), "bad.yaml: Trigger a: invalid value: 200ms: spec.delivery.backoffDelay"},
		"a bad policy":                  {triggerYAML("a", "  delivery: {backoffPolicy: random}"), "bad.yaml: Trigger a: invalid value: random: spec.delivery.backoffPolicy"},
		"a negative retry":              {triggerYAML("a", "  delivery: {retry: -1}"), "bad.yaml: Trigger a: invalid value: -1: spec.delivery.retry"},
		"bad CESQL":                     {triggerYAML("a", `  filters: [{cesql: "type ="}]`), "spec.filters[0].cesql"},
		"CESQL that is no truth value":  {triggerYAML("a", `  filters: [{cesql: "LENGTH(type)"}]`), `spec.filters[0].cesql: "LENGTH(type)" is neither true nor false for an event`},
		"two dialects in one filter":    {triggerYAML("a", `  filters: [{exact: {type: a}, prefix: {type: b}}]`), "multiple dialects found"},
		"an empty filter":               {triggerYAML("a", `  filters: [{}]`), "bad.yaml: Trigger a: spec.filters[0]: the filter is empty or has an empty value"},
		"a filter without a value":      {triggerYAML("a", `  filters: [{any: [{exact: {type: a}}, {prefix: {type: ""}}]}]`), "spec.filters[0].any[1]: the filter is empty"},
		"not of nothing":                {triggerYAML("a", `  filters: [{not: {}}]`), "spec.filters[0].not: the filter is empty"},
		"a bad attribute name":          {triggerYAML("a", `  filters: [{exact: {Type: a}}]`), "spec.filters[0].exact"},
		"two triggers of a name":        {triggerYAML("good"), "good.yaml has a trigger of that name"},
		"two brokers":                   {brokerYAML, "bad.yaml: Broker refit: there is a broker already, in a-broker.yaml; accepted is one"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := broker.Load(fstest.MapFS{
				"a-broker.yaml": {Data: []byte(brokerYAML)},
				"a/good.yaml":   {Data: []byte(triggerYAML("good"))},
				"bad.yaml":      {Data: []byte(test.file)},
			})
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestLoadTellsEveryBadDocument(t *testing.T) {
	_, err := broker.Load(fstest.MapFS{
		"broker.yaml": {Data: []byte(brokerYAML)},
		"a.yaml":      {Data: []byte(triggerYAML("a", "  delivery: {retry: -1}"))},
		"b.yaml":      {Data: []byte(strings.ReplaceAll(triggerYAML("b"), "broker: refit", "broker: other"))},
	})
	require.ErrorContains(t, err, "a.yaml")
	require.ErrorContains(t, err, "b.yaml")
}

func TestLoadRefusesABroker(t *testing.T) {
	annotated := func(stream string) string {
		return brokerYAML + "    natsjetstream.eventing.knative.dev/config: '" + stream + "'\n"
	}
	tests := map[string]struct{ file, want string }{
		"none at all":             {"", "there is no Broker (apiVersion eventing.knative.dev/v1)"},
		"with delivery":           {brokerYAML + "spec: {delivery: {retry: 3}}", "spec.delivery: not every broker class heeds it; put it on each Trigger"},
		"with broken settings":    {annotated(`{`), "metadata.annotations[natsjetstream.eventing.knative.dev/config]: unexpected end"},
		"that deletes events":     {annotated(`{"stream":{"retention":"Interest"}}`), `stream.retention: "Interest"; accepted is "Limits"`},
		"without a retention":     {annotated(`{"stream":{}}`), `stream.retention: ""; accepted is "Limits"`},
		"that forgets at restart": {annotated(`{"stream":{"retention":"Limits","storage":"Memory"}}`), `stream.storage: "Memory"; accepted is "File"`},
		"with a negative age":     {annotated(`{"stream":{"retention":"Limits","maxAge":"-1h"}}`), "stream: a limit is negative"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := broker.Load(fstest.MapFS{"broker.yaml": {Data: []byte(test.file)}})
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestRetentionIsThatOfTheManifestOrTheConfig(t *testing.T) {
	m, err := broker.Load(fstest.MapFS{"broker.yaml": {Data: []byte(brokerYAML +
		`    natsjetstream.eventing.knative.dev/config: '{"stream":{"retention":"Limits","maxAge":"48h","maxBytes":1000000,"duplicateWindow":"5m"}}'`)}})
	require.NoError(t, err)
	bus := startBus(t, t.TempDir())
	newBroker(t, config(bus, m, nil))
	stream, err := bus.JetStream().Stream(t.Context(), "KN_BROKER_DEFAULT__REFIT")
	require.NoError(t, err)
	got := stream.CachedInfo().Config
	require.Equal(t, 48*time.Hour, got.MaxAge)
	require.EqualValues(t, 1000000, got.MaxBytes)
	require.Equal(t, 5*time.Minute, got.Duplicates)

	c := config(bus, m, nil)
	c.MaxAge, c.MaxBytes = time.Hour, 2000000
	newBroker(t, c)
	info, err := stream.Info(t.Context())
	require.NoError(t, err)
	require.Equal(t, time.Hour, info.Config.MaxAge)
	require.EqualValues(t, 2000000, info.Config.MaxBytes)
}

func TestNewRefuses(t *testing.T) {
	bus := startBus(t, t.TempDir())
	m := manifests(t, triggerYAML("work", "  delivery:", deadLetterYAML))
	work := map[string]*service{"work": newService(t, taken)}
	both := map[string]*service{"work": work["work"], "letters": newService(t, taken)}
	tests := map[string]struct {
		change func(*broker.Config)
		want   string
	}{
		"no manifests":                 {func(c *broker.Config) { c.Manifests = nil }, "Manifests is empty"},
		"no JetStream":                 {func(c *broker.Config) { c.JetStream = nil }, "JetStream is nil"},
		"a negative concurrency":       {func(c *broker.Config) { c.Concurrency = -1 }, "Concurrency -1"},
		"a hasty AckWait":              {func(c *broker.Config) { c.AckWait = time.Millisecond }, "AckWait 1ms"},
		"a negative age":               {func(c *broker.Config) { c.MaxAge = -1 }, "MaxAge -1ns"},
		"an unknown subscriber":        {func(c *broker.Config) { c.Resolve = config(bus, m, nil).Resolve }, "trigger default/work: spec.subscriber: ref: resolve Service work: no Service of that name"},
		"an unknown dead letter sink":  {func(c *broker.Config) { c.Resolve = config(bus, m, work).Resolve }, "spec.delivery.deadLetterSink: ref: resolve Service letters"},
		"nothing to resolve with":      {func(c *broker.Config) { c.Resolve = nil }, "there is nothing that resolves references"},
		"a reference that is no URL":   {func(c *broker.Config) { c.Resolve = func(_, name string) (string, error) { return name, nil } }, `Service work resolves to "work", which is no URL`},
		"an event larger than a frame": {func(c *broker.Config) { c.MaxEventBytes = 8 << 20 }, "MaxEventBytes 8388608"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := config(bus, m, both)
			test.change(&c)
			_, err := broker.New(t.Context(), c)
			require.ErrorContains(t, err, test.want)
		})
	}
}
