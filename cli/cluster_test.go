package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/stretchr/testify/require"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
	fakediscovery "k8s.io/client-go/discovery/fake"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	kubefake "k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"refit.dev/cli"
	"refit.dev/config"
	"refit.dev/events"
	"refit.dev/platform/cluster"
	"refit.dev/platform/host"
	"refit.dev/platform/journal"
)

// installed is a cluster in which refit is installed, with services of its own
// that are reached directly.
type installed struct {
	*bench

	connection host.Connection
	record     *journal.Journal
	client     *kubefake.Clientset
	objects    []runtime.Object
	opened     cluster.Config
}

// install is a bench in whose cluster everything is well.
func install(t *testing.T) *installed {
	t.Helper()
	c, j := services(t)
	i := &installed{bench: setup(t), connection: c, record: j}
	i.client = kubefake.NewClientset(i.settings()...)
	i.client.Resources = served()
	discovery, isFake := i.client.Discovery().(*fakediscovery.FakeDiscovery)
	require.True(t, isFake)
	discovery.FakedServerVersion = &version.Info{GitVersion: "v1.37.2"}
	i.client.PrependReactor("create", "subjectaccessreviews", i.review)
	i.objects = i.ready(t)
	i.app.Connect = func(context.Context, string) (*cli.Session, error) { return nil, errors.New("not the local one") }
	i.app.OpenCluster = func(c cluster.Config) (*cluster.Cluster, error) {
		i.opened = c
		return cluster.New(cluster.Clients{Context: "there", Namespace: "kubeflow", Server: "https://api.example", Kubernetes: i.client, Objects: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), listKinds(), i.objects...)}), nil
	}
	return i
}

// listKinds are the lists of the kinds that doctor looks at.
func listKinds() map[schema.GroupVersionResource]string {
	kinds := map[schema.GroupVersionResource]string{}
	for _, group := range served() {
		gv, _ := schema.ParseGroupVersion(group.GroupVersion)
		for _, r := range group.APIResources {
			kinds[gv.WithResource(r.Name)] = r.Name + "List"
		}
	}
	return kinds
}

func (i *installed) settings() []runtime.Object {
	values := map[string]string{
		"REFIT_S3_ENDPOINT": i.connection.S3.Endpoint, "AWS_ENDPOINT_URL_S3": i.connection.S3.Endpoint, "REFIT_S3_REGION": "us-east-1", "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1",
		"REFIT_BUCKET": "refit", "REFIT_LANDING_BUCKET": "landing", "REFIT_NATS_URL": i.connection.NATS.URL, "REFIT_DEADLINE": "1h", "REFIT_SWEEP": "1m",
		"MLFLOW_TRACKING_URI": "http://mlflow-service.mlflow.svc:5000",
	}
	named := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name, Namespace: "kubeflow"} }
	return []runtime.Object{
		&corev1.ConfigMap{ObjectMeta: named("refit"), Data: values},
		&corev1.ConfigMap{ObjectMeta: named("refit-images"), Data: map[string]string{"data-prep": "i", "ray-train": "i", "mlflow-ops": "i"}},
		&corev1.ConfigMap{ObjectMeta: named("refit-workloads"), Data: map[string]string{"prepare.yaml": "x", "features.yaml": "x", "train.yaml": "x", "tune.yaml": "x", "register.yaml": "x"}},
		&corev1.Secret{ObjectMeta: named("refit-s3"), Data: map[string][]byte{"AWS_ACCESS_KEY_ID": []byte("key"), "AWS_SECRET_ACCESS_KEY": []byte("very-secret")}},
		&corev1.Secret{ObjectMeta: named("refit-nats"), Data: map[string][]byte{"REFIT_NATS_TOKEN": []byte("very-secret")}},
		&corev1.Secret{ObjectMeta: named("refit-source"), Data: map[string][]byte{"REFIT_NOTIFICATION_TOKEN": []byte("very-secret")}},
	}
}

func served() []*metav1.APIResourceList {
	var list []*metav1.APIResourceList
	for _, served := range []string{
		"serving.knative.dev/v1 services", "eventing.knative.dev/v1 brokers triggers", "sources.knative.dev/v1 containersources sinkbindings",
		"ray.io/v1 rayjobs", "trainer.kubeflow.org/v1alpha1 trainjobs trainingruntimes", "jobset.x-k8s.io/v1alpha2 jobsets",
	} {
		words := strings.Fields(served)
		group := &metav1.APIResourceList{GroupVersion: words[0]}
		for _, name := range words[1:] {
			group.APIResources = append(group.APIResources, metav1.APIResource{Name: name})
		}
		list = append(list, group)
	}
	return list
}

// ready are refit's own objects, each of them ready, and a broker that hands
// everything to the journal.
func (i *installed) ready(t *testing.T) []runtime.Object {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if e, err := cehttp.NewEventFromHTTPRequest(r); err != nil || i.record.Record(r.Context(), *e) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(server.Close)
	list := []runtime.Object{
		object("sources.knative.dev/v1", "ContainerSource", "source", "True"), object("sources.knative.dev/v1", "SinkBinding", "functions", "True"),
		object("trainer.kubeflow.org/v1alpha1", "TrainingRuntime", "refit-workload", ""),
	}
	broker := object("eventing.knative.dev/v1", "Broker", "refit", "True")
	require.NoError(t, unstructured.SetNestedField(broker.Object, server.URL, "status", "address", "url"))
	list = append(list, broker)
	for _, name := range []string{"prepare", "features", "train", "tune", "register", "journal"} {
		list = append(list, object("serving.knative.dev/v1", "Service", name, "True"))
	}
	files, err := config.Files.ReadDir("base/triggers")
	require.NoError(t, err)
	for _, f := range files {
		list = append(list, object("eventing.knative.dev/v1", "Trigger", strings.TrimSuffix(f.Name(), ".yaml"), "True"))
	}
	return list
}

func object(apiVersion, kind, name, ready string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": apiVersion, "kind": kind, "metadata": map[string]any{"name": name, "namespace": "kubeflow"},
		"status": map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": ready, "reason": "ContainerMissing", "message": "no such image"}}},
	}}
}

// rights are what config/base/accounts gives.
var rights = map[string][]string{
	"refit-function": {"create rayjobs", "get rayjobs", "create trainjobs", "get trainjobs"},
	"refit-source": {
		"get rayjobs", "list rayjobs", "watch rayjobs", "patch rayjobs", "delete rayjobs", "get trainjobs", "list trainjobs", "watch trainjobs", "patch trainjobs", "delete trainjobs",
		"get pods", "list pods", "watch pods", "get pods/log", "list events",
	},
}

func (i *installed) review(a clienttesting.Action) (bool, runtime.Object, error) {
	created, _ := a.(clienttesting.CreateAction)
	review, _ := created.GetObject().(*authorizationv1.SubjectAccessReview)
	asked := review.Spec.ResourceAttributes
	p := cluster.Permission{Verb: asked.Verb, Resource: asked.Resource, Subresource: asked.Subresource}
	review.Status.Allowed = slices.Contains(rights[strings.TrimPrefix(review.Spec.User, "system:serviceaccount:kubeflow:")], p.String())
	return true, review, nil
}

// mlflow answers for MLflow's health.
func (i *installed) mlflow(t *testing.T) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/health" {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(server.Close)
	i.set(t, "MLFLOW_TRACKING_URI", server.URL)
}

func (i *installed) set(t *testing.T, key, value string) {
	t.Helper()
	maps := i.client.CoreV1().ConfigMaps("kubeflow")
	m, err := maps.Get(t.Context(), "refit", metav1.GetOptions{})
	require.NoError(t, err)
	m.Data[key] = value
	_, err = maps.Update(t.Context(), m, metav1.UpdateOptions{})
	require.NoError(t, err)
}

func TestDoctorFindsAWellCluster(t *testing.T) {
	i := install(t)
	i.mlflow(t)
	i.app.OutTerminal = true
	require.Equal(t, cli.CodeOK, i.run(t, "doctor", "--cluster"), i.out.String()+i.err.String())
	text := regexp.MustCompile(`127\.0\.0\.1:\d+ *`).ReplaceAllString(i.out.String(), "127.0.0.1:PORT ")
	golden(t, "doctor-cluster", regexp.MustCompile(`in \d+m?s`).ReplaceAllString(text, "in TIME"))
	require.Equal(t, cluster.Config{Namespace: "kubeflow"}, i.opened, "the current context")
	require.Equal(t, cli.CodeOK, i.run(t, "doctor", "--context", "there", "--json"))
}

func TestDoctorFindsWhatIsWrongInACluster(t *testing.T) {
	for name, tc := range map[string]struct {
		ill        func(*testing.T, *installed)
		wantCheck  string
		wantFound  string
		wantAdvice string
	}{
		"no Trainer": {func(_ *testing.T, i *installed) {
			i.client.Resources = slices.DeleteFunc(i.client.Resources, func(l *metav1.APIResourceList) bool {
				return strings.HasPrefix(l.GroupVersion, "trainer")
			})
		}, "Kubeflow Trainer", "does not serve it", "install Kubeflow Trainer 2.2"},
		"a setting without a value": {func(t *testing.T, i *installed) { i.set(t, "REFIT_SWEEP", "") }, "ConfigMap refit", "has no REFIT_SWEEP", "kubectl apply -k"},
		"no Secret": {func(t *testing.T, i *installed) {
			require.NoError(t, i.client.CoreV1().Secrets("kubeflow").Delete(t.Context(), "refit-source", metav1.DeleteOptions{}))
		}, "Secret refit-source", "not there", "kubectl create secret generic refit-source -n kubeflow"},
		"a Secret that may not be read": {func(_ *testing.T, i *installed) {
			i.client.PrependReactor("get", "secrets", forbidden)
		}, "Secret refit-source", "you may not get secrets", "somebody"},
		"a function without its image": {func(_ *testing.T, i *installed) {
			i.objects = append(without(i.objects, "train"), object("serving.knative.dev/v1", "Service", "train", "False"))
		}, "ksvc train", "ContainerMissing: no such image", "kubectl describe ksvc train -n kubeflow"},
		"a trigger that is gone": {func(_ *testing.T, i *installed) { i.objects = without(i.objects, "landing-to-prepare") }, "Triggers", "not there: landing-to-prepare", "kubectl apply -k"},
		"no runtime":             {func(_ *testing.T, i *installed) { i.objects = without(i.objects, "refit-workload") }, "TrainingRuntime", "not there: refit-workload", "kubectl apply -k"},
		"no broker":              {func(_ *testing.T, i *installed) { i.objects = without(i.objects, "refit") }, "broker", "no Broker refit", "Trigger everything-to-journal"},
		"a right too few": {func(_ *testing.T, i *installed) {
			i.client.PrependReactor("create", "subjectaccessreviews", allow(false))
		}, "permissions of refit-function", "may not create rayjobs", "kubectl apply -k"},
		"a right too many": {func(_ *testing.T, i *installed) {
			i.client.PrependReactor("create", "subjectaccessreviews", allow(true))
		}, "permissions of refit-journal", "may get secrets, list secrets, create pods", "kubectl auth can-i --list -n kubeflow --as system:serviceaccount:kubeflow:refit-journal"},
		"no bucket":            {func(t *testing.T, i *installed) { i.set(t, "REFIT_LANDING_BUCKET", "elsewhere") }, "bucket elsewhere", "NotFound", "make the bucket"},
		"no MLflow":            {func(*testing.T, *installed) {}, "MLflow", "there is no Service mlflow-service in namespace mlflow", "MLFLOW_TRACKING_URI"},
		"no NATS":              {func(t *testing.T, i *installed) { i.set(t, "REFIT_NATS_URL", "nats://127.0.0.1:1") }, "NATS stream REFIT", "127.0.0.1:1", "kubectl get ksvc journal"},
		"no NATS, so no event": {func(t *testing.T, i *installed) { i.set(t, "REFIT_NATS_URL", "nats://127.0.0.1:1") }, "broker", "not tried", "mend NATS"},
	} {
		t.Run(name, func(t *testing.T) {
			i := install(t)
			tc.ill(t, i)
			require.Equal(t, cli.CodeError, i.run(t, "doctor", "--cluster", "--json"))
			var got struct {
				Checks []struct{ Name, State, Found, Advice string }
			}
			require.NoError(t, json.Unmarshal(i.out.Bytes(), &got))
			for _, c := range got.Checks {
				if c.Name == tc.wantCheck {
					require.Equal(t, "missing", c.State)
					require.Contains(t, c.Found, tc.wantFound)
					require.Contains(t, c.Advice, tc.wantAdvice)
					return
				}
			}
			t.Fatalf("nothing is said about %s: %s", tc.wantCheck, i.out.String())
		})
	}
}

func without(list []runtime.Object, name string) []runtime.Object {
	return slices.DeleteFunc(list, func(o runtime.Object) bool {
		u, _ := o.(*unstructured.Unstructured)
		return u.GetName() == name
	})
}

func allow(all bool) clienttesting.ReactionFunc {
	return func(a clienttesting.Action) (bool, runtime.Object, error) {
		created, _ := a.(clienttesting.CreateAction)
		review, _ := created.GetObject().(*authorizationv1.SubjectAccessReview)
		review.Status.Allowed = all
		return true, review, nil
	}
}

func forbidden(clienttesting.Action) (bool, runtime.Object, error) {
	return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "x"}, "x", nil)
}

func TestDoctorAdvisesWhoMayNotAsk(t *testing.T) {
	i := install(t)
	i.mlflow(t)
	i.client.PrependReactor("create", "subjectaccessreviews", forbidden)
	require.Equal(t, cli.CodeOK, i.run(t, "doctor", "--cluster"), i.out.String())
	require.Contains(t, i.out.String(), "advice\tpermissions of the service accounts\tyou may not create subjectaccessreviews")
}

func TestCommandsUseTheClusterOfAContext(t *testing.T) {
	i := install(t)
	for _, e := range wholeRun(t) {
		require.NoError(t, i.record.Record(t.Context(), e))
	}
	require.Equal(t, cli.CodeOK, i.run(t, "runs", "--context", "there"), i.err.String())
	require.Contains(t, i.out.String(), runA+"\tregistered")
	require.Equal(t, cluster.Config{Context: "there", Namespace: "kubeflow"}, i.opened)

	i.out.Reset()
	i.app.Getenv = func(name string) string {
		return map[string]string{"REFIT_CONTEXT": "there", "REFIT_NAMESPACE": "elsewhere"}[name]
	}
	require.Equal(t, cli.CodeOK, i.run(t, "run", "show", "last"))
	require.Equal(t, cluster.Config{Context: "there", Namespace: "elsewhere"}, i.opened)
	require.Contains(t, i.out.String(), "logs\trefit logs "+runA+" --context there --namespace elsewhere\n")

	require.Equal(t, cli.CodeUsage, i.run(t, "up"))
	require.Contains(t, i.err.String(), "leave out --context there")
}

func TestRunInACluster(t *testing.T) {
	i := install(t)
	list := wholeRun(t)
	i.out.Reset()
	started := make(chan error, 1)
	go func() { started <- i.startAfterUpload(t.Context(), list) }()
	require.Equal(t, cli.CodeOK, i.run(t, "run", upload(t), "--context", "there"), i.err.String())
	require.NoError(t, <-started)
	require.Contains(t, i.err.String(), "uploading")
	require.Contains(t, i.out.String(), "everything\trefit run show "+runA+" --context there\n")
}

// startAfterUpload records a run of the upload as soon as there is one.
func (i *installed) startAfterUpload(ctx context.Context, list []event.Event) error {
	session, err := i.session(ctx)
	if err != nil {
		return err
	}
	for {
		info, err := session.Landing.Head(ctx, key)
		if err != nil && ctx.Err() == nil {
			continue
		}
		var run events.Run
		if err := list[0].DataAs(&run); err != nil {
			return err
		}
		run.Data.URI, run.Data.ETag, run.Data.LandedAt = "s3://landing/"+key, info.ETag, info.LastModified
		if err := list[0].SetData(event.ApplicationJSON, run); err != nil {
			return err
		}
		for _, e := range list {
			if err := i.record.Record(ctx, e); err != nil {
				return err
			}
		}
		return nil
	}
}

// session reaches the services as the local command line would.
func (i *installed) session(ctx context.Context) (*cli.Session, error) {
	dir, err := os.MkdirTemp("", "refit-test-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	body, err := json.Marshal(i.connection)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(dir+"/connection.json", body, 0o600); err != nil {
		return nil, err
	}
	return cli.Dial(ctx, dir)
}

func TestSendToACluster(t *testing.T) {
	i := install(t)
	require.Equal(t, cli.CodeOK, i.run(t, "send", "--context", "there", "--type", "com.example.ping"), i.err.String())
	list, err := i.record.Events(t.Context(), journal.Filter{Types: []string{"com.example.ping"}})
	require.NoError(t, err)
	require.Len(t, list, 1)
}

func TestLogsOfARunningWorkloadInACluster(t *testing.T) {
	i := install(t)
	require.NoError(t, i.record.Record(t.Context(), runStarted(t, runA, uploadCause, nil)))
	require.NoError(t, i.record.Record(t.Context(), started(t, runA, events.Prepare, 1, 2)))
	require.Equal(t, cli.CodeError, i.run(t, "logs", "last", "--context", "there"))
	require.Contains(t, i.err.String(), "workload "+runA+"-prepare-1 has no pod")
	_, err := i.client.CoreV1().Pods("kubeflow").Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p", Labels: map[string]string{"refit.dev/workload": runA + "-prepare-1"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "node"}}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	require.Equal(t, cli.CodeOK, i.run(t, "logs", "last", "--context", "there"))
	require.Equal(t, "fake logs", i.out.String())
}

func TestAClusterWithoutRefit(t *testing.T) {
	i := install(t)
	require.NoError(t, i.client.CoreV1().ConfigMaps("kubeflow").Delete(t.Context(), "refit", metav1.DeleteOptions{}))
	require.Equal(t, cli.CodeError, i.run(t, "runs", "--context", "there"))
	require.Contains(t, i.err.String(), "there is no refit in namespace kubeflow of context there")
}
