package clustertest

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/platform/journal"
	"refit.dev/workload/kube"
)

// Settled waits for the end of a run and returns the event that ended it, after
// it saw that the run ended once: one terminal event, whoever tells of it, and
// of each stage that has workloads one, the first attempt's.
func (i *Install) Settled(t testing.TB, run string) event.Event {
	t.Helper()
	mark := i.mark(t, run)
	Await(t, "the end of "+run+" in the journal", func() error {
		list, err := i.Journal.Events(t.Context(), journal.Filter{Run: run})
		if err != nil {
			return err
		}
		return endsOnce(list, mark)
	})
	stages := map[string]bool{}
	for _, w := range i.Workloads(t, run) {
		stage := w.GetLabels()[kube.LabelStage]
		require.False(t, stages[stage], "stage %s has several workloads", stage)
		require.Equal(t, "1", w.GetLabels()[kube.LabelAttempt], w.GetName())
		stages[stage] = true
	}
	return mark
}

// mark waits for the mark of a run.
func (i *Install) mark(t testing.TB, run string) event.Event {
	t.Helper()
	var mark event.Event
	Await(t, "the mark of "+run, func() error {
		o, err := i.State().Get(t.Context(), "runs/"+run+"/mark")
		if err != nil {
			return err
		}
		return json.Unmarshal(o.Body, &mark)
	})
	return mark
}

// endsOnce is nil when mark is the one terminal event of list.
func endsOnce(list []event.Event, mark event.Event) error {
	found := false
	for _, e := range list {
		if !events.Type(e.Type()).Terminal() {
			continue
		}
		if e.ID() != mark.ID() {
			return fmt.Errorf("the run ended with %s %s, and with %s %s", mark.Type(), mark.ID(), e.Type(), e.ID())
		}
		found = true
	}
	if !found {
		return errors.New("it is not there")
	}
	return nil
}
