package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
)

// forwarder makes Services reachable on 127.0.0.1.
type forwarder struct {
	clients Clients
	explain func(err error, verb, resource, namespace string) error

	mu      sync.Mutex
	closed  bool
	tunnels map[target]*tunnel
}

// Address is explained at Cluster.Address.
func (f *forwarder) Address(ctx context.Context, address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", fmt.Errorf("address %q: %w", address, err)
	}
	t, certain := targetOf(u, f.clients.Namespace)
	if t == (target{}) {
		return address, nil
	}
	s, err := f.service(ctx, t)
	switch {
	case !certain && s == nil: // a name of the world outside, such as example.com
		return address, nil
	case err != nil:
		return "", fmt.Errorf("forward %s: %w", address, err)
	case s != nil && s.Spec.Type == corev1.ServiceTypeExternalName:
		u.Host = net.JoinHostPort(s.Spec.ExternalName, strconv.Itoa(t.port))
		return u.String(), nil
	}
	if u.Host, err = f.listen(ctx, t); err != nil {
		return "", fmt.Errorf("forward %s: %w", address, err)
	}
	return u.String(), nil
}

// listen returns the local address of a target. One that no pod answers for is
// an error at once, not later at the first request.
func (f *forwarder) listen(ctx context.Context, t target) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return "", errors.New("the connection to the cluster is closed")
	}
	if known, found := f.tunnels[t]; found {
		return known.address(), nil
	}
	opened := &tunnel{reach: func(ctx context.Context) (httpstream.Connection, int, error) { return f.reach(ctx, t) }}
	if err := opened.open(ctx); err != nil {
		return "", err
	}
	f.tunnels[t] = opened
	return opened.address(), nil
}

// reach opens a connection to a pod that is ready now.
func (f *forwarder) reach(ctx context.Context, t target) (httpstream.Connection, int, error) {
	pod, port, err := f.pod(ctx, t)
	if err != nil {
		return nil, 0, err
	}
	conn, err := f.clients.Dial(t.namespace, pod)
	if err != nil {
		return nil, 0, f.explain(err, "create", "pods/portforward", t.namespace)
	}
	return conn, port, nil
}

// Trouble is explained at Cluster.Trouble.
func (f *forwarder) Trouble(err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.tunnels {
		t.mu.Lock()
		if t.trouble != nil {
			err = fmt.Errorf("%w (%w)", err, t.trouble)
		}
		t.mu.Unlock()
	}
	return err
}

// Close ends every tunnel and returns when nothing is left of them.
func (f *forwarder) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for _, t := range f.tunnels {
		t.close()
	}
	clear(f.tunnels)
}

// podDialer opens connections as kubectl port-forward does: over a websocket,
// or over SPDY where something on the way or an older API server does not speak
// that. They have no time limit, unlike requests.
func podDialer(config *rest.Config) func(namespace, pod string) (httpstream.Connection, error) {
	endless := rest.CopyConfig(config)
	endless.Timeout = 0
	return func(namespace, pod string) (httpstream.Connection, error) {
		u, _, err := rest.DefaultServerUrlFor(endless)
		if err != nil {
			return nil, err
		}
		u = u.JoinPath("api/v1/namespaces", namespace, "pods", pod, "portforward")
		overWebsocket, err := portforward.NewSPDYOverWebsocketDialer(u, endless)
		if err != nil {
			return nil, err
		}
		transport, upgrader, err := spdy.RoundTripperFor(endless)
		if err != nil {
			return nil, err
		}
		overSPDY := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, u)
		conn, _, err := portforward.NewFallbackDialer(overWebsocket, overSPDY, func(err error) bool {
			return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
		}).Dial(portforward.PortForwardProtocolV1Name)
		return conn, err
	}
}
