package cluster_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"

	"refit.dev/platform/cluster"
)

func TestServed(t *testing.T) {
	b := setup(t)
	b.client.Resources = []*metav1.APIResourceList{
		{GroupVersion: "ray.io/v1", APIResources: []metav1.APIResource{{Name: "rayjobs"}}}, {GroupVersion: "ray.io/v1alpha1"},
	}
	versions, err := b.Served(t.Context(), schema.GroupVersion{Group: "ray.io", Version: "v1"}, "rayjobs")
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"v1", "v1alpha1"}, versions)
	_, err = b.Served(t.Context(), schema.GroupVersion{Group: "ray.io", Version: "v1"}, "rayclusters")
	require.ErrorIs(t, err, cluster.ErrNotServed)
	require.ErrorContains(t, err, "ray.io/v1 has no rayclusters")
	_, err = b.Served(t.Context(), schema.GroupVersion{Group: "ray.io", Version: "v2"})
	require.ErrorIs(t, err, cluster.ErrNotServed)
	_, err = b.Served(t.Context(), schema.GroupVersion{Group: "trainer.kubeflow.org", Version: "v1alpha1"}, "trainjobs")
	require.ErrorContains(t, err, "trainer.kubeflow.org/v1alpha1 has the versions []")
	version, err := b.Version(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, version)
}

func TestReadiness(t *testing.T) {
	condition := func(kind, status, reason, message string) map[string]any {
		return map[string]any{"type": kind, "status": status, "reason": reason, "message": message}
	}
	ksvc := func(name string, conditions ...any) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": map[string]any{"name": name, "namespace": namespace},
			"status": map[string]any{"conditions": conditions},
		}}
	}
	b := setup(t,
		ksvc("a", condition("Ready", "True", "", "")),
		ksvc("b", condition("Ready", "False", "RevisionFailed", "x"), condition("ConfigurationsReady", "False", "RevisionFailed", "image not found"), condition("RoutesReady", "True", "", "")),
		ksvc("c", condition("Ready", "Unknown", "Deploying", "")), ksvc("d"),
	)
	got, err := b.Readiness(t.Context(), schema.GroupVersionResource{Group: "serving.knative.dev", Version: "v1", Resource: "services"})
	require.NoError(t, err)
	require.Equal(t, []cluster.Readiness{
		{Name: "a", Ready: true},
		{Name: "b", Why: "ConfigurationsReady: RevisionFailed: image not found"},
		{Name: "c", Why: "Ready: Deploying"},
		{Name: "d", Why: "its controller has not looked at it yet"},
	}, got)
}

func TestMay(t *testing.T) {
	b := setup(t)
	var asked authorizationv1.SubjectAccessReviewSpec
	b.client.PrependReactor("create", "subjectaccessreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		created, _ := a.(clienttesting.CreateAction)
		review, _ := created.GetObject().(*authorizationv1.SubjectAccessReview)
		asked = review.Spec
		review.Status.Allowed = review.Spec.ResourceAttributes.Verb == "create"
		return true, review, nil
	})
	may, err := b.May(t.Context(), "refit-function", cluster.Permission{Verb: "create", Group: "ray.io", Resource: "rayjobs"})
	require.NoError(t, err)
	require.True(t, may)
	require.Equal(t, "system:serviceaccount:kubeflow:refit-function", asked.User)
	require.Equal(t, &authorizationv1.ResourceAttributes{Namespace: "kubeflow", Verb: "create", Group: "ray.io", Resource: "rayjobs"}, asked.ResourceAttributes)

	p := cluster.Permission{Verb: "get", Resource: "secrets", Namespace: "kube-system"}
	may, err = b.May(t.Context(), "refit-function", p)
	require.NoError(t, err)
	require.False(t, may)
	require.Equal(t, "kube-system", asked.ResourceAttributes.Namespace)
	require.Equal(t, "get secrets in namespace kube-system", p.String())
	require.Equal(t, "get pods/log", cluster.Permission{Verb: "get", Resource: "pods", Subresource: "log"}.String())

	b.forbid("create", "subjectaccessreviews")
	_, err = b.May(t.Context(), "refit-function", p)
	require.True(t, apierrors.IsForbidden(err))
	require.Equal(t, 1, strings.Count(err.Error(), "may not"), "said once, in our words")
}

func TestWhatTheAPIServersErrorsMean(t *testing.T) {
	for name, tc := range map[string]struct {
		err  error
		want string
	}{
		"it does not know who asks": {apierrors.NewUnauthorized("no"), "the cluster of context here does not know you, log in again"},
		"it is not there":           {errors.New("connection refused"), "reach the cluster of context here at https://api.example: connection refused"},
		"it is ill":                 {apierrors.NewInternalError(errors.New("etcd")), "get configmaps in namespace kubeflow"},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			b.client.PrependReactor("get", "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, tc.err })
			_, err := b.Settings(t.Context())
			require.ErrorIs(t, err, tc.err)
			require.ErrorContains(t, err, tc.want)
		})
	}
}
