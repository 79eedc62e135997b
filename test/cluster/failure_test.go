package cluster_test

import (
	"cmp"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"refit.dev/events"
	"refit.dev/test/clustertest"
	"refit.dev/workload"
	"refit.dev/workload/kube"
	"refit.dev/workload/rayjob"
	"refit.dev/workload/trainjob"
)

// backend is a kind of workload with a stage that it runs.
type backend struct {
	kind     kube.Kind
	template string
	stage    events.Stage
}

var backends = map[string]backend{
	"TrainJob": {trainjob.Kind{}, "noop/install/workload.yaml", events.Prepare},
	"RayJob":   {rayjob.Kind{}, "testdata/rayjob.yaml", events.Train},
}

// failure is one way in which a workload fails.
type failure struct {
	behaviour string // of the stand-in
	image     string
	deadline  time.Duration // an hour if it is 0
	// disturb does what the workload fails of, once its pods run.
	disturb    func(t *testing.T, p *clustertest.Install, b backend, job workload.Job)
	wantReason string
	wantText   string // in the message
	wantLog    string // in the saved log
}

// failures are the ways in which both kinds fail, by name.
var failures = map[string]failure{
	"an image that is not there": {
		image: "dev.local/refit-missing:v1.0", wantReason: "ImagePull", wantText: "dev.local/refit-missing:v1.0",
	},
	"a script that fails": {
		behaviour: "fail", wantReason: "ExitStatus", wantText: "41 is not 42", wantLog: "the test asked for this failure",
	},
	"a script that hangs past its deadline": {
		behaviour: "hang", deadline: 40 * time.Second, wantReason: "DeadlineExceeded", wantLog: "hanging",
	},
	"an object deleted by hand": {behaviour: "hang", disturb: deleteObject, wantReason: "Deleted"},
}

func TestAWorkloadThatFailsEndsItsRunWithTheReason(t *testing.T) {
	t.Parallel()
	for kind, b := range backends {
		for name, f := range failures {
			t.Run(kind+": "+name, func(t *testing.T) {
				t.Parallel()
				requireFailure(t, b, f)
			})
		}
	}
	t.Run("RayJob: a head that is killed", func(t *testing.T) {
		t.Parallel()
		requireFailure(t, backends["RayJob"], failure{behaviour: "hang", disturb: killHead, wantReason: "HeadLost"})
	})
}

func requireFailure(t *testing.T, b backend, f failure) {
	t.Helper()
	p := quick.on(t)
	template, err := os.ReadFile(b.template)
	require.NoError(t, err)
	run, _ := p.Reached(t, b.stage, map[string]any{"model_name": cmp.Or(f.behaviour, "succeed")})
	job := p.Launch(t, run, b.stage, b.kind, template, cmp.Or(f.image, standIn), cmp.Or(f.deadline, time.Hour))
	if f.disturb != nil {
		f.disturb(t, p, b, job)
	}
	mark := p.Settled(t, run.ID)
	require.Equal(t, string(b.stage.Failed()), mark.Type(), string(mark.Data()))
	failed := dataOf[events.Failed](t, mark)
	require.Equal(t, f.wantReason, failed.Reason, failed.Message)
	require.Contains(t, failed.Message, f.wantText)
	if f.wantLog != "" {
		log, err := p.State().Get(t.Context(), strings.TrimPrefix(failed.Log, "s3://refit/"))
		require.NoError(t, err, failed.Log)
		require.Contains(t, string(log.Body), f.wantLog)
	}
}

func dataOf[T any](t *testing.T, e event.Event) (data T) {
	t.Helper()
	require.NoError(t, e.DataAs(&data))
	return data
}

func deleteObject(t *testing.T, p *clustertest.Install, b backend, job workload.Job) {
	p.Running(t, p.Namespace, kube.LabelWorkload+"="+job.Name())
	err := p.Dynamic.Resource(b.kind.Resource()).Namespace(p.Namespace).Delete(t.Context(), job.Name(), metav1.DeleteOptions{})
	require.NoError(t, err)
}

// killHead kills the head once the job has been submitted to it.
func killHead(t *testing.T, p *clustertest.Install, _ backend, job workload.Job) {
	selector := kube.LabelWorkload + "=" + job.Name()
	p.Running(t, p.Namespace, selector+",!ray.io/node-type")
	p.Kill(t, p.Namespace, selector+",ray.io/node-type=head")
}
