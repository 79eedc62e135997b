package cluster_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"refit.dev/events"
	"refit.dev/test/clustertest"
	"refit.dev/workload/kube"
	"refit.dev/workload/trainjob"
)

// Where Knative's broker and channel run. The tests that stop them disturb
// everything else in the cluster: they are not parallel, and so over before the
// parallel ones begin.
const (
	eventing    = "knative-eventing"
	ingress     = "mt-broker-ingress"
	filter      = "mt-broker-filter"
	dispatching = "messaging.knative.dev/channel=in-memory-channel,messaging.knative.dev/role=dispatcher"
)

// The stages of a disturbed run: the one that is disturbed, and the last, which
// shows that the run goes on.
const (
	disturbed = events.Tune
	last      = events.Register
)

// TestARunSurvivesTheSourceBeingGoneWhileAWorkloadEnds has nobody see the end.
func TestARunSurvivesTheSourceBeingGoneWhileAWorkloadEnds(t *testing.T) {
	p, run := begun(t)
	source := p.SourceDeployment(t)
	p.Scale(t, p.Namespace, source, 0)
	t.Cleanup(func() { p.Scale(t, p.Namespace, source, 1) })
	p.Open(t, run, disturbed)
	ended(t, p, run, disturbed)
	p.Scale(t, p.Namespace, source, 1)
	requireRejected(t, p, run)
}

// TestARunSurvivesAFunctionKilledBetweenLaunchAndAnswer stops the broker's
// ingress, so that the function launches and then cannot say so, and kills the
// function in that state.
func TestARunSurvivesAFunctionKilledBetweenLaunchAndAnswer(t *testing.T) {
	p := quick.on(t)
	p.Asleep(t, disturbed)
	run, begin := p.Reached(t, disturbed, nil)
	p.Emit(t, begin)
	p.Scale(t, eventing, ingress, 0)
	t.Cleanup(func() { p.Scale(t, eventing, ingress, 1) })
	clustertest.Await(t, "the launch", func() error {
		if len(p.Workloads(t, run.ID)) == 0 {
			return errors.New("there is no workload")
		}
		return nil
	})
	require.Positive(t, p.Kill(t, p.Namespace, clustertest.Function(disturbed)), "the function was there")
	p.Scale(t, eventing, ingress, 1)
	requireRejected(t, p, run.ID)
}

// TestARunSurvivesALossOfEventsInTheChannel stops the broker's filter, so that
// events stay in the channel, and kills the channel, which keeps them in memory.
// One event is the end of a workload, the other begins a stage; nobody sends
// that one again but the sweep.
func TestARunSurvivesALossOfEventsInTheChannel(t *testing.T) {
	p, run := begun(t)
	other, begin := p.Reached(t, disturbed, nil)
	p.Scale(t, eventing, filter, 0)
	t.Cleanup(func() { p.Scale(t, eventing, filter, 1) })
	p.Open(t, run, disturbed)
	ended(t, p, run, disturbed)
	answered := post(t, p, begin)
	select {
	case answer := <-answered:
		require.FailNow(t, "the channel did not keep the event", answer)
	case <-time.After(5 * time.Second):
	}
	require.Positive(t, p.Kill(t, eventing, dispatching))
	p.Running(t, eventing, dispatching)
	p.Scale(t, eventing, filter, 1)
	<-answered
	requireRejected(t, p, run)
	requireRejected(t, p, other.ID)
}

// post sends an event to the broker once, and tells when it was answered, and
// what. The channel answers when everybody who wants the event has it.
func post(t *testing.T, p *clustertest.Install, e event.Event) <-chan string {
	t.Helper()
	request, err := cehttp.NewHTTPRequestFromEvent(t.Context(), p.Connection().Broker, e)
	require.NoError(t, err)
	answered := make(chan string, 1)
	go func() {
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			answered <- err.Error()
			return
		}
		answered <- response.Status
		_ = response.Body.Close() // it holds nothing
	}()
	return answered
}

// TestARunSurvivesHalfAMinuteWithoutBroker has a workload end meanwhile.
func TestARunSurvivesHalfAMinuteWithoutBroker(t *testing.T) {
	p, run := begun(t)
	for _, deployment := range []string{ingress, filter} {
		p.Scale(t, eventing, deployment, 0)
		t.Cleanup(func() { p.Scale(t, eventing, deployment, 1) })
	}
	p.Open(t, run, disturbed)
	select {
	case <-time.After(30 * time.Second):
	case <-t.Context().Done():
	}
	p.Scale(t, eventing, ingress, 1)
	p.Scale(t, eventing, filter, 1)
	requireRejected(t, p, run)
}

// TestARunSurvivesARestartOfNATS takes the journal's stream away: dev's NATS
// keeps it no longer than its pod.
func TestARunSurvivesARestartOfNATS(t *testing.T) {
	p, run := begun(t)
	const nats = "app.kubernetes.io/name=nats"
	require.Positive(t, p.Kill(t, p.Namespace, nats))
	p.Open(t, run, disturbed)
	p.Running(t, p.Namespace, nats)
	requireRejected(t, p, run)
}

// begun is a run whose disturbed stage has a workload that waits at its gate.
func begun(t *testing.T) (*clustertest.Install, string) {
	t.Helper()
	p := quick.on(t)
	run, begin := p.Reached(t, disturbed, map[string]any{"model_name": "gate." + string(disturbed)})
	p.Emit(t, begin)
	p.Running(t, p.Namespace, kube.LabelRun+"="+run.ID)
	return p, run.ID
}

// ended waits until the object of a stage has ended, whoever knows of it.
func ended(t *testing.T, p *clustertest.Install, run string, s events.Stage) {
	t.Helper()
	clustertest.Await(t, "the end of "+string(s), func() error {
		for _, w := range p.Workloads(t, run) {
			if _, over := endOf(&w); over && w.GetLabels()[kube.LabelStage] == string(s) {
				return nil
			}
		}
		return errors.New("it runs")
	})
}

func endOf(w *unstructured.Unstructured) (kube.Verdict, bool) { return trainjob.Kind{}.End(w) }

// requireRejected requires that the run ended as it would have, and once: the
// stand-in's model is too bad.
func requireRejected(t *testing.T, p *clustertest.Install, run string) {
	t.Helper()
	mark := p.Settled(t, run)
	require.Equal(t, string(events.ModelRejected), mark.Type(), string(mark.Data()))
	stages := map[string]int{}
	for _, w := range p.Workloads(t, run) {
		stages[w.GetLabels()[kube.LabelStage]]++
	}
	require.Equal(t, map[string]int{string(disturbed): 1, string(last): 1}, stages)
}
