package broker

import (
	"context"
	"errors"
	"fmt"

	"github.com/cloudevents/sdk-go/v2/event"
	"go.uber.org/zap"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/eventing/pkg/eventfilter"
	"knative.dev/eventing/pkg/eventfilter/attributes"
	"knative.dev/eventing/pkg/eventfilter/subscriptionsapi"
	"knative.dev/pkg/logging"
)

// silent keeps Knative's filters from formatting every event for a debug log.
var silent = zap.NewNop()

// newFilter answers the trigger's filter: its filters, else its legacy
// filter.attributes, else everything.
func newFilter(t *eventingv1.Trigger) (eventfilter.Filter, error) {
	if len(t.Spec.Filters) == 0 {
		if t.Spec.Filter == nil || len(t.Spec.Filter.Attributes) == 0 {
			return subscriptionsapi.NewNoFilter(), nil
		}
		return attributes.NewAttributesFilter(t.Spec.Filter.Attributes), nil
	}
	if err := checkFilters("spec.filters", t.Spec.Filters); err != nil {
		return nil, err
	}
	return all(t.Spec.Filters), nil
}

// build answers one filter of spec.filters. Only all and any are not Knative's:
// those sort themselves by use, in a goroutine each, while they are read.
func build(f eventingv1.SubscriptionsAPIFilter) eventfilter.Filter {
	switch {
	case len(f.All) > 0:
		return all(f.All)
	case len(f.Any) > 0:
		return several{filters: each(f.Any), until: eventfilter.PassFilter}
	case f.Not != nil:
		return subscriptionsapi.NewNotFilter(build(*f.Not))
	}
	return subscriptionsapi.MaterializeSubscriptionsAPIFilter(silent, f)
}

func all(filters []eventingv1.SubscriptionsAPIFilter) eventfilter.Filter {
	return several{filters: each(filters), until: eventfilter.FailFilter}
}

func each(filters []eventingv1.SubscriptionsAPIFilter) []eventfilter.Filter {
	list := make([]eventfilter.Filter, len(filters))
	for i, f := range filters {
		list[i] = build(f)
	}
	return list
}

// several asks its filters one after the other until one decides.
type several struct {
	filters []eventfilter.Filter
	until   eventfilter.FilterResult
}

// Filter answers what the last filter said that was asked.
func (s several) Filter(ctx context.Context, e event.Event) (result eventfilter.FilterResult) {
	for _, f := range s.filters {
		if result = f.Filter(ctx, e); result == s.until {
			break
		}
	}
	return result
}

// Cleanup has nothing to clean up.
func (s several) Cleanup() {}

// checkFilters refuses what Knative skips without a word. A filter that is
// empty or lacks a value is left out there, which makes a trigger of nothing
// into a trigger of everything, and a CESQL expression without a truth value
// panics at the first event.
func checkFilters(path string, filters []eventingv1.SubscriptionsAPIFilter) error {
	for i, f := range filters {
		if err := checkFilter(fmt.Sprintf("%s[%d]", path, i), f); err != nil {
			return err
		}
	}
	return nil
}

func checkFilter(path string, f eventingv1.SubscriptionsAPIFilter) error {
	switch {
	case len(f.All) > 0:
		return checkFilters(path+".all", f.All)
	case len(f.Any) > 0:
		return checkFilters(path+".any", f.Any)
	case f.Not != nil:
		return checkFilter(path+".not", *f.Not)
	}
	filter := subscriptionsapi.MaterializeSubscriptionsAPIFilter(silent, f)
	if filter == nil {
		return fmt.Errorf("%s: the filter is empty or has an empty value; accepted are all, any, not, exact, prefix, suffix and cesql with a value", path)
	}
	if f.CESQL == "" {
		return nil
	}
	probe := event.New()
	probe.SetID("probe")
	probe.SetSource("/probe")
	probe.SetType("probe")
	if _, err := passes(filterContext(context.Background()), filter, probe); err != nil {
		return fmt.Errorf("%s.cesql: %q is neither true nor false for an event", path, f.CESQL)
	}
	return nil
}

// filterContext is a context that [passes] can use.
func filterContext(ctx context.Context) context.Context {
	return logging.WithLogger(ctx, silent.Sugar())
}

var errFilterPanic = errors.New("the filter panicked")

// passes says whether the event passes the filter.
func passes(ctx context.Context, f eventfilter.Filter, e event.Event) (ok bool, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errFilterPanic, r)
		}
	}()
	return f.Filter(ctx, e) != eventfilter.FailFilter, nil
}
