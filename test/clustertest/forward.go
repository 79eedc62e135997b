package clustertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
)

// retryAfter is how long a connection waits between two looks for a pod.
const retryAfter = 200 * time.Millisecond

// Forward listens on a port of this machine for one of a Service's pods. It
// looks for a ready pod at each connection, so that it outlives the pods.
type Forward struct {
	// Address is where it listens, host:port.
	Address string

	cluster            *Cluster
	namespace, service string
	port               int32
	listener           net.Listener
	ctx                context.Context
	stop               context.CancelFunc
	busy               sync.WaitGroup

	mu   sync.Mutex
	pod  string
	conn httpstream.Connection
	next int
}

// Forward forwards a port of a Service, by its number, until Close.
func (c *Cluster) Forward(namespace, service string, port int32) (*Forward, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("forward service %s: %w", service, err)
	}
	f := &Forward{
		Address: listener.Addr().String(), cluster: c, namespace: namespace, service: service, port: port, listener: listener,
	}
	f.ctx, f.stop = context.WithCancel(context.Background())
	f.busy.Go(f.accept)
	return f, nil
}

// Close ends the listening and every connection.
func (f *Forward) Close() {
	f.stop()
	_ = f.listener.Close() // nobody waits for it
	f.drop(f.conn)
	f.busy.Wait()
}

func (f *Forward) accept() {
	for {
		local, err := f.listener.Accept()
		if err != nil {
			return
		}
		f.busy.Go(func() { f.carry(local) })
	}
}

// carry joins a connection of this machine to the pod's port.
func (f *Forward) carry(local net.Conn) {
	defer local.Close() //nolint:errcheck // both ends are done with it
	remote, err := f.stream()
	if err != nil {
		return
	}
	defer remote.Reset() //nolint:errcheck // both ends are done with it
	end := context.AfterFunc(f.ctx, func() { _ = local.Close() })
	defer end()
	var up sync.WaitGroup
	up.Go(func() {
		_, _ = io.Copy(remote, local) // an end of either side ends both
		_ = remote.Close()
	})
	_, _ = io.Copy(local, remote)
	_ = local.Close()
	up.Wait()
}

// stream opens a stream to a ready pod; without one it waits for it.
func (f *Forward) stream() (httpstream.Stream, error) {
	ticker := time.NewTicker(retryAfter)
	defer ticker.Stop()
	for {
		s, err := f.try()
		if err == nil {
			return s, nil
		}
		select {
		case <-f.ctx.Done():
			return nil, errors.Join(err, f.ctx.Err())
		case <-ticker.C:
		}
	}
}

func (f *Forward) try() (httpstream.Stream, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	pod, port, err := f.target()
	if err != nil {
		return nil, err
	}
	if f.conn == nil || f.pod != pod {
		if f.conn, err = f.dial(pod); err != nil {
			return nil, err
		}
		f.pod = pod
	}
	s, err := f.open(port)
	if err != nil {
		f.conn = nil
	}
	return s, err
}

// target is a ready pod of the Service and the port that the Service means.
func (f *Forward) target() (string, int32, error) {
	service, err := f.cluster.Kube.CoreV1().Services(f.namespace).Get(f.ctx, f.service, metav1.GetOptions{})
	if err != nil {
		return "", 0, fmt.Errorf("forward service %s: %w", f.service, err)
	}
	pods, err := f.cluster.Kube.CoreV1().Pods(f.namespace).List(f.ctx, metav1.ListOptions{
		LabelSelector: labels.SelectorFromSet(service.Spec.Selector).String(),
	})
	if err != nil {
		return "", 0, fmt.Errorf("forward service %s: %w", f.service, err)
	}
	for i := range pods.Items {
		if pod := &pods.Items[i]; ready(pod) {
			return pod.Name, portOf(service, pod, f.port), nil
		}
	}
	return "", 0, fmt.Errorf("forward service %s: no pod is ready", f.service)
}

// portOf is the pod's port behind a Service's.
func portOf(service *corev1.Service, pod *corev1.Pod, port int32) int32 {
	for _, p := range service.Spec.Ports {
		if p.Port != port {
			continue
		}
		if p.TargetPort.IntValue() > 0 {
			return int32(p.TargetPort.IntValue()) //nolint:gosec // a port
		}
		for _, c := range pod.Spec.Containers {
			for _, named := range c.Ports {
				if named.Name == p.TargetPort.String() {
					return named.ContainerPort
				}
			}
		}
	}
	return port
}

func ready(pod *corev1.Pod) bool {
	if pod.DeletionTimestamp != nil {
		return false
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func (f *Forward) dial(pod string) (httpstream.Connection, error) {
	transport, upgrader, err := spdy.RoundTripperFor(f.cluster.Config)
	if err != nil {
		return nil, fmt.Errorf("forward to pod %s: %w", pod, err)
	}
	url := f.cluster.Kube.CoreV1().RESTClient().Post().Resource("pods").Namespace(f.namespace).Name(pod).SubResource("portforward").URL()
	conn, _, err := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, url).Dial(portforward.PortForwardProtocolV1Name)
	if err != nil {
		return nil, fmt.Errorf("forward to pod %s: %w", pod, err)
	}
	return conn, nil
}

// open opens the two streams of the protocol: errors, which say in words what
// went wrong with the other one, and data.
func (f *Forward) open(port int32) (httpstream.Stream, error) {
	f.next++
	header := http.Header{}
	header.Set(corev1.PortHeader, fmt.Sprint(port))
	header.Set(corev1.PortForwardRequestIDHeader, fmt.Sprint(f.next))
	header.Set(corev1.StreamType, corev1.StreamTypeError)
	failure, err := f.conn.CreateStream(header)
	if err != nil {
		return nil, fmt.Errorf("forward to pod %s: %w", f.pod, err)
	}
	_ = failure.Close() // nothing is written to it
	header.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := f.conn.CreateStream(header)
	if err != nil {
		return nil, fmt.Errorf("forward to pod %s: %w", f.pod, err)
	}
	conn := f.conn
	f.busy.Go(func() {
		said, _ := io.ReadAll(failure) // an error here is the end of it, too
		if len(said) > 0 {
			_ = data.Reset()
		}
		conn.RemoveStreams(failure, data)
	})
	return data, nil
}

func (f *Forward) drop(conn httpstream.Connection) {
	if conn != nil {
		_ = conn.Close() // every stream of it is over
	}
}
