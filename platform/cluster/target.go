package cluster

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// target is a port of a Service.
type target struct {
	namespace, service string
	port               int
}

// String is "Service objects in namespace kubeflow".
func (t target) String() string {
	return fmt.Sprintf("Service %s in namespace %s", t.service, t.namespace)
}

// targetOf tells which Service an address may mean, seen from pods in
// namespace: name, name.namespace, or either with .svc or .svc.cluster.local
// behind. The second form is certain only if that Service is there.
func targetOf(u *url.URL, namespace string) (t target, certain bool) {
	t = target{port: portOf(u)}
	name := u.Hostname()
	if name == "" || name == "localhost" || net.ParseIP(name) != nil {
		return target{}, false
	}
	short, _, inside := strings.Cut(strings.TrimSuffix(name, "."), ".svc")
	parts := strings.Split(short, ".")
	switch {
	case len(parts) == 1:
		t.service, t.namespace = parts[0], namespace
	case len(parts) == 2:
		t.service, t.namespace = parts[0], parts[1]
	default:
		return target{}, false
	}
	return t, inside || len(parts) == 1
}

func portOf(u *url.URL) int {
	if n, err := strconv.Atoi(u.Port()); err == nil {
		return n
	}
	switch u.Scheme {
	case "nats":
		return 4222
	case "https":
		return 443
	default:
		return 80
	}
}

// service looks up the Service of a target; nil if it is not there.
func (f *forwarder) service(ctx context.Context, t target) (*corev1.Service, error) {
	s, err := f.clients.Kubernetes.CoreV1().Services(t.namespace).Get(ctx, t.service, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil //nolint:nilnil // nil says that it is not there
	case err != nil:
		return nil, f.explain(err, "get", "services", t.namespace)
	}
	return s, nil
}

// pod picks a ready pod behind a target, and its port.
func (f *forwarder) pod(ctx context.Context, t target) (string, int, error) {
	s, err := f.service(ctx, t)
	if err != nil {
		return "", 0, err
	}
	if s == nil {
		return "", 0, fmt.Errorf("there is no %s", t)
	}
	if len(s.Spec.Selector) == 0 {
		return "", 0, fmt.Errorf("%s selects no pods: set an address in ConfigMap refit that is reached from outside", t)
	}
	pods, err := f.clients.Kubernetes.CoreV1().Pods(t.namespace).List(ctx, metav1.ListOptions{LabelSelector: labels.SelectorFromSet(s.Spec.Selector).String()})
	if err != nil {
		return "", 0, f.explain(err, "list", "pods", t.namespace)
	}
	for i := range pods.Items {
		if p := &pods.Items[i]; isReady(p) {
			port, err := podPort(s, p, t)
			return p.Name, port, err
		}
	}
	return "", 0, fmt.Errorf("no pod of %s is ready (%d are there): kubectl get pods -n %s -l %s", t, len(pods.Items), t.namespace, labels.SelectorFromSet(s.Spec.Selector))
}

func isReady(p *corev1.Pod) bool {
	if p.DeletionTimestamp != nil {
		return false
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// podPort is the port of a pod that a Service's port leads to.
func podPort(s *corev1.Service, p *corev1.Pod, t target) (int, error) {
	var offered []string
	for _, port := range s.Spec.Ports {
		offered = append(offered, strconv.Itoa(int(port.Port)))
		if int(port.Port) != t.port {
			continue
		}
		switch {
		case port.TargetPort.StrVal != "":
			return namedPort(p, port.TargetPort.StrVal, t)
		case port.TargetPort.IntVal != 0:
			return int(port.TargetPort.IntVal), nil
		default:
			return int(port.Port), nil
		}
	}
	return 0, fmt.Errorf("%s has no port %d: it has %s", t, t.port, strings.Join(offered, ", "))
}

func namedPort(p *corev1.Pod, name string, t target) (int, error) {
	for i := range p.Spec.Containers {
		for _, port := range p.Spec.Containers[i].Ports {
			if port.Name == name {
				return int(port.ContainerPort), nil
			}
		}
	}
	return 0, fmt.Errorf("%s leads to port %q, which pod %s does not have", t, name, p.Name)
}
