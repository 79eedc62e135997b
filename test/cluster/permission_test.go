package cluster_test

import (
	"cmp"
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"refit.dev/test/clustertest"
)

// account acts as a ServiceAccount of the install.
type account struct {
	kube      kubernetes.Interface
	dynamic   dynamic.Interface
	namespace string
}

func as(t *testing.T, i *clustertest.Install, name string) account {
	t.Helper()
	config := rest.CopyConfig(i.Cluster.Config)
	config.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:" + i.Namespace + ":" + name,
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + i.Namespace, "system:authenticated"},
	}
	a := account{namespace: i.Namespace}
	var err error
	a.kube, err = kubernetes.NewForConfig(config)
	require.NoError(t, err)
	a.dynamic, err = dynamic.NewForConfig(config)
	require.NoError(t, err)
	return a
}

// dryRun asks for everything but the writing.
var dryRun = metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}

// acts are what an account may try, by name.
var acts = map[string]func(context.Context, account) error{
	"read the Secret it is given": func(ctx context.Context, a account) error {
		_, err := a.kube.CoreV1().Secrets(a.namespace).Get(ctx, "refit-s3", metav1.GetOptions{})
		return err
	},
	"read another Secret": func(ctx context.Context, a account) error {
		_, err := a.kube.CoreV1().Secrets(a.namespace).Get(ctx, "of-somebody-else", metav1.GetOptions{})
		return err
	},
	"list Secrets": func(ctx context.Context, a account) error {
		_, err := a.kube.CoreV1().Secrets(a.namespace).List(ctx, metav1.ListOptions{})
		return err
	},
	"create a Pod": func(ctx context.Context, a account) error {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{GenerateName: "permission-"},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: standIn}}},
		}
		_, err := a.kube.CoreV1().Pods(a.namespace).Create(ctx, pod, dryRun)
		return err
	},
	"list Pods": func(ctx context.Context, a account) error {
		_, err := a.kube.CoreV1().Pods(a.namespace).List(ctx, metav1.ListOptions{})
		return err
	},
	"list Pods of another namespace": func(ctx context.Context, a account) error {
		_, err := a.kube.CoreV1().Pods("default").List(ctx, metav1.ListOptions{})
		return err
	},
	"list Events":            listing(schema.GroupVersionResource{Version: "v1", Resource: "events"}, ""),
	"create a RayJob":        creating(clustertest.RayJobs, "RayJob", rayJobSpec),
	"create a TrainJob":      creating(clustertest.TrainJobs, "TrainJob", trainJobSpec),
	"get a RayJob":           getting(clustertest.RayJobs),
	"get a TrainJob":         getting(clustertest.TrainJobs),
	"list RayJobs":           listing(clustertest.RayJobs, ""),
	"list TrainJobs":         listing(clustertest.TrainJobs, ""),
	"delete a TrainJob":      deleting(clustertest.TrainJobs),
	"list foreign RayJobs":   listing(clustertest.RayJobs, "default"),
	"list foreign TrainJobs": listing(clustertest.TrainJobs, "default"),
}

// may are the acts that each account needs; all others are forbidden.
var may = map[string][]string{
	"refit-function": {"create a RayJob", "create a TrainJob", "get a RayJob", "get a TrainJob"},
	"refit-source":   {"get a RayJob", "get a TrainJob", "list RayJobs", "list TrainJobs", "delete a TrainJob", "list Pods", "list Events"},
	"refit-journal":  {},
	"refit-workload": {},
}

func TestAnAccountMayDoWhatItNeedsAndNoMore(t *testing.T) {
	t.Parallel()
	i := quick.on(t)
	for name, allowed := range may {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var did []string
			for act, try := range acts {
				err := try(t.Context(), as(t, i, name))
				if apierrors.IsForbidden(err) {
					continue
				}
				require.True(t, err == nil || apierrors.IsNotFound(err), "%s: %v", act, err)
				did = append(did, act)
			}
			require.ElementsMatch(t, allowed, did)
		})
	}
}

func TestAnAccountWithoutRightsHasNoTokenInItsPods(t *testing.T) {
	t.Parallel()
	i := quick.on(t)
	for _, name := range []string{"refit-journal", "refit-workload"} {
		found, err := i.Kube.CoreV1().ServiceAccounts(i.Namespace).Get(t.Context(), name, metav1.GetOptions{})
		require.NoError(t, err)
		require.NotNil(t, found.AutomountServiceAccountToken, name)
		require.False(t, *found.AutomountServiceAccountToken, name)
	}
}

var (
	rayJobSpec = map[string]any{
		"entrypoint": "true",
		"rayClusterSpec": map[string]any{"headGroupSpec": map[string]any{
			"rayStartParams": map[string]any{},
			"template":       map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": "head", "image": standIn}}}},
		}},
	}
	trainJobSpec = map[string]any{"runtimeRef": map[string]any{"kind": "TrainingRuntime", "name": "refit-workload"}}
)

func creating(resource schema.GroupVersionResource, kind string, spec map[string]any) func(context.Context, account) error {
	return func(ctx context.Context, a account) error {
		object := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
		object.SetAPIVersion(resource.GroupVersion().String())
		object.SetKind(kind)
		object.SetName("permission")
		_, err := a.dynamic.Resource(resource).Namespace(a.namespace).Create(ctx, object.DeepCopy(), dryRun)
		return err
	}
}

func getting(resource schema.GroupVersionResource) func(context.Context, account) error {
	return func(ctx context.Context, a account) error {
		_, err := a.dynamic.Resource(resource).Namespace(a.namespace).Get(ctx, "permission", metav1.GetOptions{})
		return err
	}
}

func deleting(resource schema.GroupVersionResource) func(context.Context, account) error {
	return func(ctx context.Context, a account) error {
		return a.dynamic.Resource(resource).Namespace(a.namespace).Delete(ctx, "permission", metav1.DeleteOptions{})
	}
}

// listing lists in a namespace, by default the account's own.
func listing(resource schema.GroupVersionResource, namespace string) func(context.Context, account) error {
	return func(ctx context.Context, a account) error {
		_, err := a.dynamic.Resource(resource).Namespace(cmp.Or(namespace, a.namespace)).List(ctx, metav1.ListOptions{})
		return err
	}
}
