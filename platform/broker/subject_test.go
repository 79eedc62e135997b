package broker

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
)

func TestSubjectOfAType(t *testing.T) {
	s := subjects{base: "b"}
	for name, tc := range map[string]struct{ eventType, want string }{
		"tokens stay tokens":      {"dev.refit.run.started", "b.dev.refit.run.started"},
		"S3's colon stays":        {"com.amazonaws.s3.ObjectCreated:Put", "b.com.amazonaws.s3.ObjectCreated:Put"},
		"wildcards are letters":   {"a.*.>", "b.a.%2A.%3E"},
		"blanks are letters":      {"a b.\tc", "b.a%20b.%09c"},
		"an empty token is shown": {".a..", "b.%.a.%.%"},
		"and is no percent sign":  {"%", "b.%25"},
		"other scripts":           {"é", "b.%C3%A9"},
		"what is too long":        {strings.Repeat("x", maxTypeSubject+1), "b"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tc.want, s.of(tc.eventType))
			require.True(t, server.IsValidPublishSubject(s.of(tc.eventType)))
		})
	}
}

func TestSubjectsOfAFilter(t *testing.T) {
	for name, tc := range map[string]struct {
		spec string
		want []string // nil for all
	}{
		"no filter":                         {``, nil},
		"exact":                             {`filters: [{exact: {type: a.b}}]`, []string{"b", "b.a.b"}},
		"exact with another attribute":      {`filters: [{exact: {type: a.b, stage: train}}]`, []string{"b", "b.a.b"}},
		"exact of another attribute":        {`filters: [{exact: {stage: train}}]`, nil},
		"legacy attributes":                 {`filter: {attributes: {type: a.b}}`, []string{"b", "b.a.b"}},
		"legacy attributes of any type":     {`filter: {attributes: {type: ""}}`, nil},
		"prefix up to a dot":                {`filters: [{prefix: {type: a.}}]`, []string{"b", "b.a.>"}},
		"prefix within a token":             {`filters: [{prefix: {type: "a.s3.ObjectCreated:"}}]`, []string{"b", "b.a.s3.>"}},
		"prefix of the first token":         {`filters: [{prefix: {type: a}}]`, nil},
		"suffix":                            {`filters: [{suffix: {type: .b}}]`, nil},
		"not":                               {`filters: [{not: {exact: {type: a}}}]`, nil},
		"cesql":                             {`filters: [{cesql: "type = 'a'"}]`, nil},
		"any of types":                      {`filters: [{any: [{exact: {type: a}}, {exact: {type: c}}]}]`, []string{"b", "b.a", "b.c"}},
		"any of types and something else":   {`filters: [{any: [{exact: {type: a}}, {exact: {stage: c}}]}]`, nil},
		"any of a type and what covers it":  {`filters: [{any: [{exact: {type: a.b}}, {prefix: {type: a.}}, {prefix: {type: a.b.}}]}]`, []string{"b", "b.a.>"}},
		"all with a type":                   {`filters: [{all: [{suffix: {type: b}}, {exact: {type: a.b}}]}]`, []string{"b", "b.a.b"}},
		"several filters, one with a type":  {`filters: [{not: {exact: {type: a}}}, {prefix: {type: a.}}]`, []string{"b", "b.a.>"}},
		"a type that is too long for one":   {"filters: [{exact: {type: " + strings.Repeat("x", 600) + "}}]", []string{"b"}},
		"a prefix that is too long for one": {"filters: [{prefix: {type: " + strings.Repeat("x", 600) + ".}}]", nil},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := Load(fstest.MapFS{"a.yaml": {Data: []byte(head + "  " + tc.spec)}})
			require.NoError(t, err)
			require.Equal(t, tc.want, subjects{base: "b"}.wanted(m.Triggers[0]))
		})
	}
}

// TestSubjectsHoldAllThatPasses makes filters and types up: JetStream must hand
// a trigger whatever passes its filter, and takes no subjects that overlap.
func TestSubjectsHoldAllThatPasses(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	s := subjects{base: "default.refit.events"}
	passed := 0
	for range 20_000 {
		trigger := &eventingv1.Trigger{Spec: eventingv1.TriggerSpec{Filters: someFilters(r, 2)}}
		filter, err := newFilter(trigger)
		require.NoError(t, err)
		e := event.New()
		e.SetID("1")
		e.SetSource("/s")
		e.SetType(someType(r))
		ok, err := passes(filterContext(t.Context()), filter, e)
		require.NoError(t, err)
		wanted := s.wanted(trigger)
		for i, one := range wanted {
			for _, other := range wanted[i+1:] {
				require.False(t, server.SubjectsCollide(one, other), "%v overlap", wanted)
			}
		}
		if !ok || wanted == nil {
			continue
		}
		passed++
		held := false
		for _, pattern := range wanted {
			held = held || server.SubjectMatchesFilter(s.of(e.Type()), pattern)
		}
		require.True(t, held, "type %q passes %+v and its subject %q is none of %v", e.Type(), trigger.Spec.Filters, s.of(e.Type()), wanted)
	}
	require.Greater(t, passed, 50, "events that passed a filter with subjects")
}

func someType(r *rand.Rand) string {
	tokens := make([]string, 1+r.IntN(3))
	for i := range tokens {
		tokens[i] = []string{"a", "ab", "", "*", ">", "a b", "%"}[r.IntN(7)]
	}
	if text := strings.Join(tokens, "."); text != "" {
		return text
	}
	return "a"
}

func someFilters(r *rand.Rand, depth int) []eventingv1.SubscriptionsAPIFilter {
	list := make([]eventingv1.SubscriptionsAPIFilter, 1+r.IntN(2))
	for i := range list {
		list[i] = someFilter(r, depth)
	}
	return list
}

func someFilter(r *rand.Rand, depth int) (f eventingv1.SubscriptionsAPIFilter) {
	attribute := map[string]string{"type": someType(r)}
	kinds := 7
	if depth == 0 {
		kinds = 4
	}
	switch r.IntN(kinds) {
	case 0:
		f.Exact = attribute
	case 1:
		f.Prefix = attribute
	case 2:
		f.Suffix = attribute
	case 3:
		f.CESQL = fmt.Sprintf("type <> '%s'", someType(r))
	case 4:
		f.All = someFilters(r, depth-1)
	case 5:
		f.Any = someFilters(r, depth-1)
	default:
		inner := someFilter(r, depth-1)
		f.Not = &inner
	}
	return f
}
