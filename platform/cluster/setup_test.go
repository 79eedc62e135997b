package cluster_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/apimachinery/pkg/util/httpstream/spdy"
	"k8s.io/apimachinery/pkg/util/intstr"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"refit.dev/platform/cluster"
)

const namespace = "kubeflow"

// bench is a cluster in the test's hands.
type bench struct {
	*cluster.Cluster

	client *fake.Clientset
	kubes  kubelets
}

// setup is a cluster with the given objects: typed ones, and unstructured ones.
func setup(t *testing.T, objects ...runtime.Object) *bench {
	t.Helper()
	var typed, others []runtime.Object
	for _, o := range objects {
		if _, other := o.(*unstructured.Unstructured); other {
			others = append(others, o)
		} else {
			typed = append(typed, o)
		}
	}
	b := &bench{client: fake.NewClientset(typed...), kubes: kubelets{ports: map[string]map[int]string{}}}
	b.Cluster = cluster.New(cluster.Clients{
		Context: "here", Server: "https://api.example", Namespace: namespace, Kubernetes: b.client, Dial: b.kubes.dial,
		Objects: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
			brokers: "BrokerList", {Group: "serving.knative.dev", Version: "v1", Resource: "services"}: "ServiceList",
		}, others...),
	})
	t.Cleanup(func() {
		b.Close()
		b.kubes.close()
	})
	return b
}

var brokers = schema.GroupVersionResource{Group: "eventing.knative.dev", Version: "v1", Resource: "brokers"}

// forbid lets the API server refuse a verb on a resource.
func (b *bench) forbid(verb, resource string) {
	b.client.PrependReactor(verb, resource, func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "x", errors.New("no"))
	})
}

func service(name, in string, change func(*corev1.ServiceSpec)) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: in},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": name}, Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromString("http")}}},
	}
	if change != nil {
		change(&s.Spec)
	}
	return s
}

func pod(name, in, app string, ready corev1.ConditionStatus) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: in, Labels: map[string]string{"app": app}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}}}},
		Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}},
	}
}

// kubelets lead to the ports of pods, in the protocol of port-forward.
type kubelets struct {
	// ports are the addresses behind the ports of each pod.
	ports map[string]map[int]string

	mu    sync.Mutex
	conns []httpstream.Connection
	group sync.WaitGroup
}

func (k *kubelets) dial(_, pod string) (httpstream.Connection, error) {
	here, there := net.Pipe()
	streams := make(chan httpstream.Stream, 2)
	server, err := spdy.NewServerConnection(there, func(s httpstream.Stream, _ <-chan struct{}) error {
		streams <- s
		return nil
	})
	if err != nil {
		return nil, err
	}
	client, err := spdy.NewClientConnection(here)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.conns = append(k.conns, server, client)
	k.group.Go(func() { k.serve(pod, streams, server.CloseChan()) })
	return client, nil
}

// serve takes the streams in pairs, the one for failures first.
func (k *kubelets) serve(pod string, streams <-chan httpstream.Stream, over <-chan bool) {
	for {
		var pair [2]httpstream.Stream
		for i := range pair {
			select {
			case pair[i] = <-streams:
			case <-over:
				return
			}
		}
		k.group.Go(func() { k.connect(pod, pair[0], pair[1]) })
	}
}

func (k *kubelets) connect(pod string, failures, data httpstream.Stream) {
	defer failures.Close()
	defer data.Close()
	port, _ := strconv.Atoi(data.Headers().Get(corev1.PortHeader))
	conn, err := net.Dial("tcp", k.ports[pod][port])
	if err != nil {
		_, _ = io.WriteString(failures, "nobody listens on port "+strconv.Itoa(port))
		return
	}
	defer conn.Close()
	go func() { _, _ = io.Copy(conn, data) }()
	_, _ = io.Copy(data, conn)
}

// lose ends all connections, as when a node goes away.
func (k *kubelets) lose() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range k.conns {
		_ = c.Close()
	}
	k.conns = nil
}

func (k *kubelets) close() {
	k.lose()
	k.group.Wait()
}

// get reads a page on a connection of its own.
func get(t *testing.T, url string) (string, error) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return string(body), nil
}
