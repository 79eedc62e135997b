package cluster_test

import (
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"refit.dev/platform/cluster"
	"refit.dev/platform/host"
)

// settings are the objects that configure refit.
func settings() []runtime.Object {
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name, Namespace: namespace} }
	return []runtime.Object{
		&corev1.ConfigMap{ObjectMeta: meta("refit"), Data: map[string]string{
			"REFIT_S3_ENDPOINT": "https://s3.example.com", "REFIT_S3_REGION": "eu-central-1", "REFIT_BUCKET": "refit", "REFIT_LANDING_BUCKET": "landing",
			"REFIT_NATS_URL": "nats://nats.example.com:4222", "MLFLOW_TRACKING_URI": "http://mlflow-service.mlflow.svc:5000",
		}},
		&corev1.Secret{ObjectMeta: meta("refit-s3"), Data: map[string][]byte{"AWS_ACCESS_KEY_ID": []byte("key"), "AWS_SECRET_ACCESS_KEY": []byte("very-secret")}},
		&corev1.Secret{ObjectMeta: meta("refit-nats"), Data: map[string][]byte{"REFIT_NATS_TOKEN": []byte("very-secret")}},
	}
}

func broker(url string, conditions ...any) *unstructured.Unstructured {
	status := map[string]any{"conditions": conditions}
	if url != "" {
		status["address"] = map[string]any{"url": url}
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "metadata": map[string]any{"name": "refit", "namespace": namespace}, "status": status,
	}}
}

func TestConnect(t *testing.T) {
	b := setup(t, settings()...)
	got, err := b.Connect(t.Context())
	require.NoError(t, err)
	require.Equal(t, host.Connection{
		S3:     host.S3{Endpoint: "https://s3.example.com", Region: "eu-central-1", AccessKey: "key", SecretKey: "very-secret", Landing: "landing", State: "refit"},
		NATS:   host.Endpoint{URL: "nats://nats.example.com:4222", Token: "very-secret"},
		MLflow: "http://mlflow-service.mlflow.svc:5000",
	}, got)
}

func TestConnectRefusesClearly(t *testing.T) {
	for name, tc := range map[string]struct {
		objects []runtime.Object
		forbid  string
		want    string
	}{
		"nothing is installed":    {nil, "", "there is no refit in namespace kubeflow of context here (no ConfigMap refit): kubectl apply -k"},
		"a setting is missing":    {[]runtime.Object{&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "refit", Namespace: namespace}}}, "", "lacks REFIT_S3_ENDPOINT, REFIT_S3_REGION, REFIT_BUCKET, REFIT_LANDING_BUCKET, REFIT_NATS_URL"},
		"a Secret is missing":     {settings()[:2], "", "Secret refit-nats in namespace kubeflow lacks REFIT_NATS_TOKEN"},
		"may not read the map":    {settings(), "configmaps", "you may not get configmaps in namespace kubeflow"},
		"may not read the Secret": {settings(), "secrets", "you may not get secrets in namespace kubeflow"},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t, tc.objects...)
			if tc.forbid != "" {
				b.forbid("get", tc.forbid)
			}
			_, err := b.Connect(t.Context())
			require.ErrorContains(t, err, tc.want)
			require.NotContains(t, err.Error(), "very-secret")
			if tc.objects == nil {
				require.ErrorIs(t, err, cluster.ErrNotInstalled)
			}
		})
	}
}

func TestBroker(t *testing.T) {
	const address = "http://broker-ingress.knative-eventing.svc.cluster.local/kubeflow/refit"
	got, err := setup(t, broker(address)).Broker(t.Context())
	require.NoError(t, err)
	require.Equal(t, address, got)

	_, err = setup(t).Broker(t.Context())
	require.ErrorIs(t, err, cluster.ErrNotInstalled)
	_, err = setup(t, broker("", map[string]any{"type": "TriggerChannelReady", "status": "False", "reason": "ChannelFailure", "message": "no channel"})).Broker(t.Context())
	require.ErrorContains(t, err, "has no address yet: TriggerChannelReady: ChannelFailure: no channel")
}

const kubeconfig = `
apiVersion: v1
kind: Config
current-context: one
clusters: [{name: c, cluster: {server: "https://api.example"}}]
users: [{name: u, user: {token: very-secret}}]
contexts: [{name: one, context: {cluster: c, user: u}}, {name: two, context: {cluster: c, user: u}}, {name: broken, context: {cluster: nowhere, user: u}}]
`

func TestOpenFindsTheContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	t.Setenv("KUBECONFIG", path)
	_, err := cluster.Open(cluster.Config{})
	require.ErrorContains(t, err, "there is no context in "+path)

	require.NoError(t, os.WriteFile(path, []byte(kubeconfig), 0o600))
	for name, want := range map[string]string{"": "one", "two": "two"} {
		c, err := cluster.Open(cluster.Config{Context: name})
		require.NoError(t, err)
		require.Equal(t, []string{want, "kubeflow", "https://api.example"}, []string{c.Context(), c.Namespace(), c.Server()})
		c.Close()
	}
	_, err = cluster.Open(cluster.Config{Context: "three"})
	require.ErrorContains(t, err, `there is no context "three" in the kubeconfig: accepted are broken, one, two`)
	_, err = cluster.Open(cluster.Config{Context: "broken"})
	require.ErrorContains(t, err, "context broken of the kubeconfig")

	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(kubeconfig, "current-context: one", "", 1)), 0o600))
	_, err = cluster.Open(cluster.Config{})
	require.ErrorContains(t, err, "choose one of broken, one, two with --context")
	require.NoError(t, os.WriteFile(path, []byte("}"), 0o600))
	_, err = cluster.Open(cluster.Config{})
	require.ErrorContains(t, err, "read the kubeconfig")
}

// api answers for pods and their logs as an API server does; without an entry
// in logs a pod's container waits to start.
func api(t *testing.T, logs map[string]string, pods ...*corev1.Pod) *cluster.Cluster {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		name, isLog := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/api/v1/namespaces/kubeflow/pods/"), "/log")
		log, written := logs[name+"/"+r.URL.Query().Get("container")]
		switch {
		case isLog && written:
			_, _ = io.WriteString(w, log)
		case isLog:
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"BadRequest","code":400,"message":"container is waiting to start"}`)
		default:
			list := corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}}
			for _, p := range pods {
				if r.URL.Query().Get("labelSelector") == "refit.dev/workload="+p.Labels["refit.dev/workload"] {
					list.Items = append(list.Items, *p)
				}
			}
			_ = json.NewEncoder(w).Encode(list)
		}
	}))
	t.Cleanup(server.Close)
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL})
	require.NoError(t, err)
	return cluster.New(cluster.Clients{Namespace: namespace, Kubernetes: client})
}

func workloadPod(name, node string, containers ...string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: map[string]string{"refit.dev/workload": "w"}}}
	if node != "" {
		p.Labels["ray.io/node-type"] = node
	}
	for _, c := range containers {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: c})
	}
	return p
}

func TestLog(t *testing.T) {
	logs := map[string]string{
		"train-job/node": "trained\n", "head/ray-head": "head\n", "worker/ray-worker": "worker\n", "submitter/ray-job-submitter": "submitted\n",
	}
	ray := []*corev1.Pod{workloadPod("worker", "worker", "ray-worker"), workloadPod("head", "head", "ray-head", "sidecar")}
	for name, tc := range map[string]struct {
		pods []*corev1.Pod
		want string
	}{
		"of a TrainJob":                       {[]*corev1.Pod{workloadPod("train-job", "", "proxy", "node")}, "trained\n"},
		"of a RayJob's submitter":             {append(ray, workloadPod("submitter", "", "ray-job-submitter")), "submitted\n"},
		"of the head while there is no other": {append(ray, workloadPod("pending", "", "ray-job-submitter")), "head\n"},
	} {
		t.Run(name, func(t *testing.T) {
			log, err := api(t, logs, tc.pods...).Log(t.Context(), "w")
			require.NoError(t, err)
			defer log.Close()
			got, err := io.ReadAll(log)
			require.NoError(t, err)
			require.Equal(t, tc.want, string(got))
		})
	}
	_, err := api(t, logs).Log(t.Context(), "w")
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = api(t, nil, ray...).Log(t.Context(), "w")
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "has written nothing")
}
