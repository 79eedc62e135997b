package cluster_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"refit.dev/platform/watch"
	"refit.dev/stage/store"
	"refit.dev/workload"
	"refit.dev/workload/kube"
	"refit.dev/workload/rayjob"
	"refit.dev/workload/trainjob"
	"refit.dev/workload/workloadtest"
)

// launching is a namespace in which launchers are tested, with a template for
// each behaviour of a workload.
type launching struct {
	kind      kube.Kind
	template  string // its %[1]s is what the stand-in does
	namespace string
}

// words are what the stand-in is told.
var words = map[workloadtest.Behaviour]string{
	workloadtest.Succeeds: "succeed", workloadtest.Fails: "fail", workloadtest.Hangs: "hang",
}

func TestRayJobsConform(t *testing.T) { conforms(t, rayjob.Kind{}, "rayjob") }

func TestTrainJobsConform(t *testing.T) { conforms(t, trainjob.Kind{}, "trainjob") }

// conforms runs the suite of all launchers on the cluster, its source's watcher
// included.
func conforms(t *testing.T, kind kube.Kind, name string) {
	t.Parallel()
	template, err := os.ReadFile("testdata/conformance/" + name + ".yaml")
	require.NoError(t, err)
	l := launching{kind: kind, template: string(template), namespace: newNamespace(t, name)}
	l.runtime(t)
	workloadtest.RunObjects(t, func(t *testing.T) workloadtest.Harness {
		t.Parallel()
		return l.harness(t)
	})
}

// newNamespace makes a namespace that goes with the test.
func newNamespace(t *testing.T, name string) string {
	t.Helper()
	namespaces := cluster.Kube.CoreV1().Namespaces()
	made, err := namespaces.Create(t.Context(), &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "refit-conformance-" + name + "-"},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, namespaces.Delete(context.Background(), made.Name, metav1.DeleteOptions{}))
	})
	return made.Name
}

// runtime makes the TrainingRuntime of the stand-in.
func (l launching) runtime(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile("testdata/conformance/runtime.yaml")
	require.NoError(t, err)
	runtime := &unstructured.Unstructured{}
	body, err := yaml.YAMLToJSON(text)
	require.NoError(t, err)
	require.NoError(t, runtime.UnmarshalJSON(body))
	resource := trainjob.Kind{}.GroupVersionKind().GroupVersion().WithResource("trainingruntimes")
	_, err = cluster.Dynamic.Resource(resource).Namespace(l.namespace).Create(t.Context(), runtime, metav1.CreateOptions{})
	require.NoError(t, err)
}

func (l launching) objects() dynamic.ResourceInterface {
	return cluster.Dynamic.Resource(l.kind.Resource()).Namespace(l.namespace)
}

// harness is a launcher of its own run, and a watcher that tells its ends.
func (l launching) harness(t *testing.T) workloadtest.Harness {
	run, ends := "r-20261123-060000-"+uuid.NewString()[:8], make(chan workload.End, 16)
	watcher := l.watch(t, run, ends)
	launchers := byWord{}
	for _, word := range words {
		launchers[word] = l.launcher(t, word)
	}
	return workloadtest.Harness{
		Launcher: launchers, Ends: ends, Deadline: 5 * time.Second, Patience: 5 * time.Minute,
		Prepare: func(job workload.Job, b workloadtest.Behaviour) workload.Job {
			job.Run, job.Image, job.Spec = run, standIn, "test://"+words[b]
			return job
		},
		Starts: func(name string) int { return l.pods(t, name) },
		Vanish: func(ctx context.Context, name string) error {
			return l.vanish(ctx, watcher, name)
		},
		Suspend: l.suspend,
	}
}

func (l launching) launcher(t *testing.T, word string) *kube.Launcher {
	t.Helper()
	launcher, err := kube.NewLauncher(kube.LauncherConfig{
		Client: cluster.Dynamic, Namespace: l.namespace, Template: fmt.Appendf(nil, l.template, word), Kinds: []kube.Kind{l.kind},
	})
	require.NoError(t, err)
	return launcher
}

// watch tells the ends of one run until the test is over.
func (l launching) watch(t *testing.T, run string, ends chan<- workload.End) *watch.Watcher {
	t.Helper()
	watcher, err := watch.New(watch.Config{
		Client: cluster.Dynamic, Namespace: l.namespace, Kinds: []kube.Kind{l.kind}, State: &store.Memory{}, StateName: "refit",
		Logger: slog.New(slog.DiscardHandler),
		Ended: func(_ context.Context, end workload.End) error {
			if end.Run == run {
				ends <- end
			}
			return nil
		},
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { watcher.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	watcher.Await(t.Context(), time.Minute)
	require.NoError(t, watcher.Ready())
	return watcher
}

// pods is how often the workload was started: the pods that work, not those of
// a Ray cluster.
func (l launching) pods(t *testing.T, name string) int {
	t.Helper()
	pods, err := cluster.Kube.CoreV1().Pods(l.namespace).List(t.Context(), metav1.ListOptions{
		LabelSelector: kube.LabelWorkload + "=" + name + ",!ray.io/node-type",
	})
	require.NoError(t, err)
	return len(pods.Items)
}

// vanish deletes the object once the watcher knows it.
func (l launching) vanish(ctx context.Context, watcher *watch.Watcher, name string) error {
	err := poll(ctx, func() (bool, error) {
		all, err := watcher.Workloads(ctx)
		_, known := all[name]
		return known, err
	})
	if err != nil {
		return err
	}
	return l.objects().Delete(ctx, name, metav1.DeleteOptions{})
}

// suspend does what Kueue does, and waits until the operator has followed.
func (l launching) suspend(ctx context.Context, name string) error {
	_, err := l.objects().Patch(ctx, name, types.MergePatchType, []byte(`{"spec":{"suspend":true}}`), metav1.PatchOptions{})
	if err != nil {
		return err
	}
	return poll(ctx, func() (bool, error) {
		object, err := l.objects().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		return suspended(object), nil
	})
}

func suspended(object *unstructured.Unstructured) bool {
	status, _, _ := unstructured.NestedString(object.Object, "status", "jobDeploymentStatus")
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, c := range conditions {
		if condition, ok := c.(map[string]any); ok && condition["type"] == "Suspended" && condition["status"] == "True" {
			return true
		}
	}
	return status == "Suspended"
}

func poll(ctx context.Context, done func() (bool, error)) error {
	return wait.PollUntilContextCancel(ctx, 200*time.Millisecond, true, func(context.Context) (bool, error) { return done() })
}

// byWord launches each job by the template that its spec asks for.
type byWord map[string]*kube.Launcher

func (b byWord) Launch(ctx context.Context, job workload.Job) error {
	return b[strings.TrimPrefix(job.Spec, "test://")].Launch(ctx, job)
}

func (b byWord) Cancel(ctx context.Context, name string) error {
	return b[words[workloadtest.Hangs]].Cancel(ctx, name)
}
