package broker

import (
	"net/url"
	"slices"
	"strings"

	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
)

// maxTypeSubject is the longest form of a type, in bytes, that a subject ends
// in; NATS takes lines of 4096 bytes.
const maxTypeSubject = 512

// subjects are the subjects of a broker's events. An event is published on the
// base followed by its type, so that JetStream does not hand it to the triggers
// that want other types. The base alone, which every trigger sees, has the
// events of brokers before there were types in subjects, and those whose type
// is too long for a subject.
//
// Subjects only spare work: whatever comes is held against the trigger's filter.
type subjects struct{ base string }

// of is the subject of an event of a type.
func (s subjects) of(eventType string) string {
	form := typeTokens(eventType)
	if len(form) > maxTypeSubject {
		return s.base
	}
	return s.base + "." + form
}

// typeTokens writes a type as tokens of a subject. Anybody may send any type,
// and NATS gives blanks, wildcards and empty tokens a meaning of their own.
func typeTokens(eventType string) string {
	tokens := strings.Split(eventType, ".")
	for i, token := range tokens {
		tokens[i] = url.PathEscape(token)
		if token == "" {
			tokens[i] = "%"
		}
	}
	return strings.Join(tokens, ".")
}

// wanted lists the subjects that hold everything that may pass a trigger's
// filter, none where that is all of them.
func (s subjects) wanted(t *eventingv1.Trigger) []string {
	var patterns []string
	narrow := false
	if len(t.Spec.Filters) > 0 {
		patterns, narrow = s.all(t.Spec.Filters)
	} else if t.Spec.Filter != nil {
		patterns, narrow = s.exact(t.Spec.Filter.Attributes)
	}
	if !narrow {
		return nil
	}
	return disjoint(append(patterns, s.base))
}

// filter answers the subjects of one filter; false means any. The order of the
// cases is that of Knative's filters.
func (s subjects) filter(f eventingv1.SubscriptionsAPIFilter) ([]string, bool) {
	switch {
	case len(f.Exact) > 0:
		return s.exact(f.Exact)
	case len(f.Prefix) > 0:
		return s.prefix(f.Prefix["type"])
	case len(f.Suffix) > 0:
		return nil, false
	case len(f.All) > 0:
		return s.all(f.All)
	case len(f.Any) > 0:
		return s.any(f.Any)
	default: // not and cesql
		return nil, false
	}
}

func (s subjects) exact(attributes map[string]string) ([]string, bool) {
	eventType := attributes["type"]
	return []string{s.of(eventType)}, eventType != ""
}

// prefix can do no better than whole tokens: what is behind the last dot of the
// prefix begins a token that is not known.
func (s subjects) prefix(text string) ([]string, bool) {
	dot := strings.LastIndex(text, ".")
	if dot < 0 {
		return nil, false
	}
	known := s.of(text[:dot])
	return []string{known + ".>"}, known != s.base
}

// all needs to look at one filter, since all of them have to pass.
func (s subjects) all(filters []eventingv1.SubscriptionsAPIFilter) ([]string, bool) {
	for _, f := range filters {
		if patterns, narrow := s.filter(f); narrow {
			return patterns, true
		}
	}
	return nil, false
}

func (s subjects) any(filters []eventingv1.SubscriptionsAPIFilter) ([]string, bool) {
	var patterns []string
	for _, f := range filters {
		more, narrow := s.filter(f)
		if !narrow {
			return nil, false
		}
		patterns = append(patterns, more...)
	}
	return patterns, true
}

// disjoint drops what another pattern covers: JetStream refuses a consumer
// whose subjects overlap.
func disjoint(patterns []string) []string {
	slices.Sort(patterns)
	patterns = slices.Compact(patterns)
	all := slices.Clone(patterns)
	return slices.DeleteFunc(patterns, func(pattern string) bool {
		return slices.ContainsFunc(all, func(other string) bool {
			stem, wild := strings.CutSuffix(other, ">")
			return wild && other != pattern && strings.HasPrefix(pattern, stem)
		})
	})
}
