package watch_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"refit.dev/events"
	"refit.dev/platform/source"
	"refit.dev/platform/watch"
	"refit.dev/workload"
	"refit.dev/workload/kube"
)

func TestAnEndIsToldWithItsLogOnce(t *testing.T) {
	b := setup(t, trainJob(events.Prepare), pod(t, terminated("node", 0, "Completed")))
	b.logs["p/node"] = "one\ntwo\n"
	w, _ := b.start(t)
	ctx := t.Context()
	_, err := b.client.Resource(trainJobs).Namespace(namespace).Update(ctx, trainJob(events.Prepare, complete()), metav1.UpdateOptions{})
	require.NoError(t, err)
	want := workload.End{
		Run: run, Stage: events.Prepare, Attempt: 1, Workload: name(events.Prepare), UID: "uid-prepare", Outcome: workload.Succeeded, Reason: "Completed",
		Log: "s3://refit/runs/" + run + "/prepare/1/log.txt", StartedAt: began, EndedAt: began.Add(time.Minute),
	}
	require.Equal(t, want, receive(t, b.ended))
	saved, err := b.state.Get(ctx, "runs/"+run+"/prepare/1/log.txt")
	require.NoError(t, err)
	require.Equal(t, "one\ntwo\n", string(saved.Body))
	require.Eventually(t, func() bool {
		known, err := w.Workloads(ctx)
		return err == nil && known[name(events.Prepare)].End != nil
	}, patience, time.Millisecond)
	known, err := w.Workloads(ctx)
	require.NoError(t, err)
	require.Equal(t, map[string]source.Workload{name(events.Prepare): {End: &want}}, known)
	again := trainJob(events.Prepare, complete())
	again.SetAnnotations(map[string]string{"somebody": "else"})
	_, err = b.client.Resource(trainJobs).Namespace(namespace).Update(ctx, again, metav1.UpdateOptions{})
	require.NoError(t, err)
	require.NoError(t, b.client.Resource(trainJobs).Namespace(namespace).Delete(ctx, name(events.Prepare), metav1.DeleteOptions{}))
	require.Eventually(t, func() bool {
		known, err := w.Workloads(ctx)
		return err == nil && len(known) == 0
	}, patience, time.Millisecond)
	require.Empty(t, b.ended, "an end is told once, and a deletion after it is none")
}

func TestAnEndIsToldUntilTheBrokerTakesIt(t *testing.T) {
	b := setup(t, rayJob(events.Train, map[string]any{"jobDeploymentStatus": "Complete", "jobStatus": "SUCCEEDED"}))
	b.refuse = 3
	w, _ := b.start(t)
	require.Equal(t, workload.Succeeded, receive(t, b.ended).Outcome)
	require.NoError(t, w.Ready())
}

func TestAnEndThatNobodyCanTellIsDropped(t *testing.T) {
	b := setup(t, trainJob(events.Prepare, complete()), trainJob(events.Features, complete()))
	tell := b.config.Ended
	b.config.Ended = func(ctx context.Context, e workload.End) error {
		if e.Stage == events.Prepare {
			return source.ErrStray
		}
		return tell(ctx, e)
	}
	b.config.Workers = 1
	b.start(t)
	require.Equal(t, events.Features, receive(t, b.ended).Stage)
}

func TestARestartTellsEndsAgainAndKeepsTheSavedLog(t *testing.T) {
	b := setup(t, trainJob(events.Prepare, failed("")), pod(t, terminated("node", 3, "Error")))
	b.logs["p/node"] = "about to fail\n"
	_, stop := b.start(t)
	first := receive(t, b.ended)
	require.Equal(t, "it ended with status 3\nabout to fail", first.Message)
	stop()
	require.NoError(t, b.client.Tracker().Delete(podsOf, namespace, "p"))
	b.start(t)
	second := receive(t, b.ended)
	require.Equal(t, first.Log, second.Log)
	require.True(t, strings.HasSuffix(second.Message, "about to fail"), second.Message)
}

// TestTheLogIsReadBeforeTheDeadline has the pods go before the end is seen, as
// they do when an operator enforces a deadline.
func TestTheLogIsReadBeforeTheDeadline(t *testing.T) {
	runs, ended := trainJob(events.Prepare), trainJob(events.Prepare, failed("DeadlineExceeded"))
	runs.SetAnnotations(map[string]string{kube.AnnotationDeadline: began.Add(time.Second).Format(time.RFC3339)})
	working := corev1.ContainerStatus{Name: "node", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
	b := setup(t, runs, pod(t, working))
	b.logs["p/node"] = "still at it\n"
	read, open := make(chan string, 1), b.config.Logs
	b.config.Logs = func(ctx context.Context, pod, container string, previous bool) (io.ReadCloser, error) {
		defer func() { read <- pod }()
		return open(ctx, pod, container, previous)
	}
	b.config.Workers = 1
	b.start(t)
	require.Equal(t, "p", receive(t, read))
	require.NoError(t, b.client.Tracker().Delete(podsOf, namespace, "p"))
	_, err := b.client.Resource(trainJobs).Namespace(namespace).Update(t.Context(), ended, metav1.UpdateOptions{})
	require.NoError(t, err)
	end := receive(t, b.ended)
	require.Contains(t, end.Message, "still at it")
	saved, err := b.state.Get(t.Context(), "runs/"+run+"/prepare/1/log.txt")
	require.NoError(t, err)
	require.Equal(t, "still at it\n", string(saved.Body))
}

func TestADeletionBeforeTheEndIsTheEnd(t *testing.T) {
	b := setup(t, trainJob(events.Prepare))
	b.start(t)
	b.wait(time.Hour)
	require.NoError(t, b.client.Resource(trainJobs).Namespace(namespace).Delete(t.Context(), name(events.Prepare), metav1.DeleteOptions{}))
	end := receive(t, b.ended)
	require.Equal(t, workload.Failed, end.Outcome)
	require.Equal(t, "Deleted", end.Reason)
	require.Equal(t, began.Add(time.Hour), end.EndedAt)
}

func TestADeletionThatIsUnderWayIsTheEnd(t *testing.T) {
	job := trainJob(events.Prepare)
	at := metav1.NewTime(began.Add(time.Minute))
	job.SetDeletionTimestamp(&at)
	b := setup(t, job)
	b.start(t)
	end := receive(t, b.ended)
	require.Equal(t, "Deleted", end.Reason)
	require.True(t, at.Time.Equal(end.EndedAt))
}

func TestObjectsThatHaveNoEnd(t *testing.T) {
	other := trainJob(events.Features, complete())
	other.SetName("other")
	suspended := trainJob(events.Tune, map[string]any{"type": "Suspended", "status": "True"})
	b := setup(t, trainJob(events.Prepare), other, suspended, trainJob(events.Register, complete()))
	b.config.Workers = 1
	w, _ := b.start(t)
	require.Equal(t, events.Register, receive(t, b.ended).Stage)
	known, err := w.Workloads(t.Context())
	require.NoError(t, err)
	require.Nil(t, known[name(events.Prepare)].End)
	require.Nil(t, known[name(events.Tune)].End)
	require.Empty(t, b.ended)
}

func TestAKindThatTheClusterLacksHoldsNothingUp(t *testing.T) {
	b := setup(t, trainJob(events.Prepare, complete()))
	b.client.PrependReactor("list", "rayjobs", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewNotFound(rayJobs.GroupResource(), "")
	})
	w, err := watch.New(b.config)
	require.NoError(t, err)
	require.ErrorContains(t, w.Ready(), "not listed yet")
	_, err = w.Workloads(t.Context())
	require.Error(t, err, "a sweep must not take what is not known for what is not there")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx)
	}()
	defer func() {
		cancel()
		<-done
	}()
	w.Await(ctx, patience)
	require.NoError(t, w.Ready())
	require.Equal(t, events.Prepare, receive(t, b.ended).Stage)
}

func TestAPodThatCannotStartEndsItsWorkload(t *testing.T) {
	for reason, status := range map[string]corev1.ContainerStatus{
		watch.ImagePull:       waits("node", "ImagePullBackOff", "not found"),
		watch.ContainerConfig: waits("node", "CreateContainerConfigError", `secret "x" not found`),
	} {
		t.Run(reason, func(t *testing.T) {
			b := setup(t, trainJob(events.Prepare), pod(t, status))
			b.config.StuckAfter = 50 * time.Millisecond
			b.config.Clock = time.Now
			b.start(t)
			end := receive(t, b.ended)
			require.Equal(t, workload.Failed, end.Outcome)
			require.Equal(t, reason, end.Reason)
			require.Contains(t, end.Message, status.State.Waiting.Message)
			job, err := b.client.Resource(trainJobs).Namespace(namespace).Get(t.Context(), name(events.Prepare), metav1.GetOptions{})
			require.NoError(t, err)
			require.Contains(t, job.GetAnnotations()[kube.AnnotationEnd], reason)
			require.Equal(t, map[string]any{"suspend": true}, job.Object["spec"])
		})
	}
}

// An autoscaler may bring the node that is missing.
func TestAPodWithoutANodeIsWaitedForUntilTheDeadline(t *testing.T) {
	p := pod(t)
	p.Object["status"] = map[string]any{"conditions": []any{map[string]any{
		"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available",
	}}}
	b := setup(t, trainJob(events.Prepare), trainJob(events.Features, complete()), p)
	b.config.StuckAfter, b.config.Workers = time.Nanosecond, 1
	w, _ := b.start(t)
	require.Equal(t, events.Features, receive(t, b.ended).Stage)
	requireTroubled(t, w)
	// The pod goes first, as the deadline's doing.
	require.NoError(t, b.client.Resource(podsOf).Namespace(namespace).Delete(t.Context(), "p", metav1.DeleteOptions{}))
	_, err := b.client.Resource(trainJobs).Namespace(namespace).Update(t.Context(), trainJob(events.Prepare, failed("DeadlineExceeded")), metav1.UpdateOptions{})
	require.NoError(t, err)
	end := receive(t, b.ended)
	require.Equal(t, workload.Deadline, end.Outcome)
	require.Equal(t, watch.Unschedulable, end.Reason)
	require.Contains(t, end.Message, "0/3 nodes are available")
}

func TestAnEvictedPodMakesItsWorkloadLostEvenWhenItIsGone(t *testing.T) {
	p := pod(t, terminated("node", 137, "Error"))
	require.NoError(t, setCondition(p.Object, "DisruptionTarget", "EvictionByEvictionAPI"))
	b := setup(t, trainJob(events.Prepare), p)
	w, _ := b.start(t)
	requireTroubled(t, w)
	require.NoError(t, b.client.Resource(podsOf).Namespace(namespace).Delete(t.Context(), "p", metav1.DeleteOptions{}))
	_, err := b.client.Resource(trainJobs).Namespace(namespace).Update(t.Context(), trainJob(events.Prepare, failed("")), metav1.UpdateOptions{})
	require.NoError(t, err)
	end := receive(t, b.ended)
	require.Equal(t, workload.Lost, end.Outcome)
	require.Equal(t, "EvictionByEvictionAPI", end.Reason)
}

// requireTroubled waits until the watcher has seen the pod.
func requireTroubled(t *testing.T, w *watch.Watcher) {
	t.Helper()
	require.Eventually(t, func() bool { return w.Troubled(name(events.Prepare)) }, patience, time.Millisecond)
}

func setCondition(pod map[string]any, kind, reason string) error {
	status, ok := pod["status"].(map[string]any)
	if !ok {
		return fmt.Errorf("no status in %v", pod)
	}
	status["conditions"] = []any{map[string]any{"type": kind, "status": "True", "reason": reason}}
	return nil
}

func TestAnEndedObjectGoesWhenItIsJudgedAndItsTimeIsOver(t *testing.T) {
	short := trainJob(events.Prepare, complete())
	short.SetAnnotations(map[string]string{kube.AnnotationTTL: "30s"})
	b := setup(t, short, trainJob(events.Features, complete()), trainJob(events.Register, complete()))
	b.wait(5 * time.Minute)
	for _, s := range []events.Stage{events.Prepare, events.Features} {
		require.NoError(t, b.state.Put(t.Context(), "runs/"+run+"/"+string(s)+"/mark", nil))
	}
	b.config.Workers = 1
	w, _ := b.start(t)
	for range 3 {
		receive(t, b.ended)
	}
	require.Eventually(t, func() bool {
		known, err := w.Workloads(t.Context())
		require.NoError(t, err)
		_, there := known[name(events.Prepare)]
		return !there
	}, patience, time.Millisecond)
	known, err := w.Workloads(t.Context())
	require.NoError(t, err)
	require.Len(t, known, 2, "one is not old enough, and no function has judged the other")
}

// TestASuspendedObjectInAQueueGoesAtOnce is about Kueue, which would start it
// again.
func TestASuspendedObjectInAQueueGoesAtOnce(t *testing.T) {
	queued, plain := trainJob(events.Prepare), trainJob(events.Features)
	labels := queued.GetLabels()
	labels["kueue.x-k8s.io/queue-name"] = "team"
	queued.SetLabels(labels)
	for _, o := range []*unstructured.Unstructured{queued, plain} {
		o.SetAnnotations(map[string]string{kube.AnnotationEnd: `{"outcome":"cancelled","reason":"Cancelled","at":"` + began.Format(time.RFC3339) + `"}`})
	}
	b := setup(t, queued, plain)
	for _, s := range []events.Stage{events.Prepare, events.Features} {
		require.NoError(t, b.state.Put(t.Context(), "runs/"+run+"/"+string(s)+"/mark", nil))
	}
	b.config.Workers = 1
	w, _ := b.start(t)
	for range 2 {
		require.Equal(t, workload.Cancelled, receive(t, b.ended).Outcome)
	}
	require.Eventually(t, func() bool {
		known, err := w.Workloads(t.Context())
		require.NoError(t, err)
		_, there := known[name(events.Prepare)]
		return !there && len(known) == 1
	}, patience, time.Millisecond)
}

func TestAVagueEndTellsTheClustersLastWarning(t *testing.T) {
	warning := plain(t, &corev1.Event{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Event"}, ObjectMeta: metav1.ObjectMeta{Name: "e", Namespace: namespace},
		InvolvedObject: corev1.ObjectReference{Kind: "Job", Name: name(events.Prepare) + "-node-0"},
		Type:           "Warning", Reason: "FailedCreate", Message: "exceeded quota", LastTimestamp: metav1.NewTime(began),
	})
	b := setup(t, trainJob(events.Prepare, failed("DeadlineExceeded")), warning)
	b.start(t)
	end := receive(t, b.ended)
	require.Equal(t, "DeadlineExceeded", end.Reason)
	require.Contains(t, end.Message, "(FailedCreate): exceeded quota")
	require.Contains(t, end.Message, "there is no log")
	require.Empty(t, end.Log)
}

func TestAWatcherNamesWhatItNeeds(t *testing.T) {
	_, err := watch.New(watch.Config{})
	require.EqualError(t, err, "watch: Client, Namespace, Kinds, State and Ended must be set")
	c := watch.Config{}.WithDefaults()
	require.Equal(t, 2*time.Minute, c.StuckAfter)
	require.Equal(t, time.Hour, c.TTL)
}
