package cluster_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func TestAnAddressOutsideIsReachedDirectly(t *testing.T) {
	b := setup(t, service("far", namespace, func(s *corev1.ServiceSpec) {
		s.Type, s.ExternalName = corev1.ServiceTypeExternalName, "s3.example.com"
	}))
	for address, want := range map[string]string{
		"https://s3.eu-central-1.amazonaws.com": "https://s3.eu-central-1.amazonaws.com",
		"nats://10.1.2.3:4222":                  "nats://10.1.2.3:4222",
		"http://localhost:9000":                 "http://localhost:9000",
		"https://example.com/mlflow":            "https://example.com/mlflow",
		"http://far:9000/x":                     "http://s3.example.com:9000/x",
	} {
		got, err := b.Address(t.Context(), address)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

func TestAnAddressInsideLeadsToAReadyPod(t *testing.T) {
	pods := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.URL.Path) }))
	defer pods.Close()
	at := strings.TrimPrefix(pods.URL, "http://")
	b := setup(t,
		service("broker-ingress", "knative-eventing", nil),
		pod("going", "knative-eventing", "broker-ingress", corev1.ConditionFalse), pod("well", "knative-eventing", "broker-ingress", corev1.ConditionTrue),
		service("objects", namespace, func(s *corev1.ServiceSpec) {
			s.Ports = []corev1.ServicePort{{Port: 8490, TargetPort: intstr.FromInt32(9)}}
		}), pod("objects", namespace, "objects", corev1.ConditionTrue),
		service("same", namespace, func(s *corev1.ServiceSpec) { s.Ports = []corev1.ServicePort{{Port: 4222}} }), pod("same", namespace, "same", corev1.ConditionTrue),
	)
	b.kubes.ports["well"] = map[int]string{8080: at}
	b.kubes.ports["objects"] = map[int]string{9: at}
	b.kubes.ports["same"] = map[int]string{4222: at}
	for _, address := range []string{
		"http://broker-ingress.knative-eventing.svc.cluster.local/kubeflow/refit", "http://broker-ingress.knative-eventing.svc/kubeflow/refit",
		"http://broker-ingress.knative-eventing/kubeflow/refit", "http://objects:8490/kubeflow/refit", "http://objects.kubeflow.svc.example.org:8490/kubeflow/refit", "nats://same/kubeflow/refit",
	} {
		near, err := b.Address(t.Context(), address)
		require.NoError(t, err)
		require.Contains(t, near, "://127.0.0.1:")
		got, err := get(t, strings.Replace(near, "nats://", "http://", 1))
		require.NoError(t, err)
		require.Equal(t, "/kubeflow/refit", got, address)
	}
	again, err := b.Address(t.Context(), "http://objects:8490")
	require.NoError(t, err)
	first, err := b.Address(t.Context(), "http://objects.kubeflow:8490")
	require.NoError(t, err)
	require.Equal(t, first, again, "one port for one target")
}

func TestAPortOutlivesThePodBehindIt(t *testing.T) {
	page := func(text string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }))
		t.Cleanup(s.Close)
		return strings.TrimPrefix(s.URL, "http://")
	}
	b := setup(t, service("objects", namespace, nil), pod("old", namespace, "objects", corev1.ConditionTrue))
	b.kubes.ports["old"], b.kubes.ports["new"] = map[int]string{8080: page("old")}, map[int]string{8080: page("new")}
	near, err := b.Address(t.Context(), "http://objects")
	require.NoError(t, err)
	got, err := get(t, near)
	require.NoError(t, err)
	require.Equal(t, "old", got)

	pods := b.client.CoreV1().Pods(namespace)
	require.NoError(t, pods.Delete(t.Context(), "old", metav1.DeleteOptions{}))
	_, err = pods.Create(t.Context(), pod("new", namespace, "objects", corev1.ConditionTrue), metav1.CreateOptions{})
	require.NoError(t, err)
	b.kubes.lose()
	require.Eventually(t, func() bool { // until the client has seen that its connection ended
		got, err = get(t, near)
		return err == nil && got == "new"
	}, 10e9, 1e7)
}

func TestWhatThePodsSideToldIsNotLost(t *testing.T) {
	b := setup(t, service("objects", namespace, nil), pod("objects", namespace, "objects", corev1.ConditionTrue))
	near, err := b.Address(t.Context(), "http://objects")
	require.NoError(t, err)
	_, err = get(t, near)
	require.Error(t, err)
	require.Eventually(t, func() bool {
		return strings.Contains(b.Trouble(errors.New("EOF")).Error(), "EOF (forward to the pod: nobody listens on port 8080)")
	}, 10e9, 1e7)
}

func TestAnAddressThatLeadsNowhere(t *testing.T) {
	for name, tc := range map[string]struct {
		address string
		forbid  [2]string
		want    string
	}{
		"no such Service":         {"http://nothing.kubeflow.svc", [2]string{}, "there is no Service nothing in namespace kubeflow"},
		"no pod is ready":         {"http://sick", [2]string{}, "no pod of Service sick in namespace kubeflow is ready (1 are there): kubectl get pods -n kubeflow -l app=sick"},
		"no such port":            {"http://well:81", [2]string{}, "has no port 81: it has 80"},
		"no pods by design":       {"http://manual", [2]string{}, "selects no pods"},
		"a port that nobody has":  {"http://strange", [2]string{}, `leads to port "web", which pod strange does not have`},
		"not an address":          {"http://a b", [2]string{}, "invalid character"},
		"may not see the Service": {"http://well", [2]string{"get", "services"}, "you may not get services in namespace kubeflow"},
		"may not see the pods":    {"http://well", [2]string{"list", "pods"}, "you may not list pods in namespace kubeflow"},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t,
				service("sick", namespace, nil), pod("sick", namespace, "sick", corev1.ConditionFalse), service("well", namespace, nil), pod("well", namespace, "well", corev1.ConditionTrue),
				service("manual", namespace, func(s *corev1.ServiceSpec) { s.Selector = nil }),
				service("strange", namespace, func(s *corev1.ServiceSpec) { s.Ports[0].TargetPort = intstr.FromString("web") }), pod("strange", namespace, "strange", corev1.ConditionTrue),
			)
			if tc.forbid[0] != "" {
				b.forbid(tc.forbid[0], tc.forbid[1])
			}
			_, err := b.Address(t.Context(), tc.address)
			require.ErrorContains(t, err, tc.want)
		})
	}
}

func TestNothingIsForwardedAfterTheEnd(t *testing.T) {
	b := setup(t, service("well", namespace, nil), pod("well", namespace, "well", corev1.ConditionTrue))
	near, err := b.Address(t.Context(), "http://well")
	require.NoError(t, err)
	b.Close()
	_, err = get(t, near)
	require.ErrorContains(t, err, "refused")
	_, err = b.Address(t.Context(), "http://well")
	require.ErrorContains(t, err, "closed")
}

func TestPage(t *testing.T) {
	b := setup(t)
	page, command := b.Page("http://mlflow-service.mlflow.svc.cluster.local:5000/#/experiments/1/runs/a", 5000)
	require.Equal(t, "http://127.0.0.1:5000/#/experiments/1/runs/a", page)
	require.Equal(t, "kubectl port-forward --context here svc/mlflow-service -n mlflow 5000:5000", command)
	page, command = b.Page("https://mlflow.example.com/#/experiments/1", 5000)
	require.Equal(t, "https://mlflow.example.com/#/experiments/1", page)
	require.Empty(t, command)
}
