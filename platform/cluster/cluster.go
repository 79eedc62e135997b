package cluster

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strconv"

	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"refit.dev/platform/host"
)

// Cluster is a refit in a cluster. It is safe for concurrent use.
type Cluster struct {
	clients   Clients
	forwarder *forwarder
}

// Clients are how a cluster is talked to.
type Clients struct {
	// Context is the name of the context in the kubeconfig, Server the address
	// of the API server, Namespace where refit is.
	Context, Server, Namespace string
	// Kubernetes is for what Kubernetes brings, Objects for all other kinds.
	Kubernetes kubernetes.Interface
	Objects    dynamic.Interface
	// Dial opens the connection over which a pod's ports are reached.
	Dial func(namespace, pod string) (httpstream.Connection, error)
}

// Open reads the kubeconfig. It talks to nobody yet.
func Open(c Config) (*Cluster, error) {
	c = c.WithDefaults()
	name, config, err := c.load()
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("context %s of the kubeconfig: %w", name, err)
	}
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("context %s of the kubeconfig: %w", name, err)
	}
	return New(Clients{
		Context: name, Server: config.Host, Namespace: c.Namespace,
		Kubernetes: client, Objects: objects, Dial: podDialer(config),
	}), nil
}

// New is Open with clients of one's own.
func New(c Clients) *Cluster {
	opened := &Cluster{clients: c}
	opened.forwarder = &forwarder{clients: c, explain: opened.explain, tunnels: map[target]*tunnel{}}
	return opened
}

// Context is the name of the context in the kubeconfig.
func (c *Cluster) Context() string { return c.clients.Context }

// Namespace is where refit is.
func (c *Cluster) Namespace() string { return c.clients.Namespace }

// Server is the address of the API server.
func (c *Cluster) Server() string { return c.clients.Server }

// Connect makes refit's object store and NATS reachable from here and says how.
// MLflow is the address that refit has in the cluster. It fails with
// ErrNotInstalled if there is no refit in the namespace.
func (c *Cluster) Connect(ctx context.Context) (host.Connection, error) {
	settings, err := c.Settings(ctx)
	if err != nil {
		return settings, err
	}
	if settings.S3.Endpoint, err = c.Address(ctx, settings.S3.Endpoint); err != nil {
		return settings, fmt.Errorf("reach the object store: %w", err)
	}
	if settings.NATS.URL, err = c.Address(ctx, settings.NATS.URL); err != nil {
		return settings, fmt.Errorf("reach NATS: %w", err)
	}
	return settings, nil
}

// Address returns an address by which a service is reached from here. One that
// only pods can resolve becomes a port on 127.0.0.1, which is there until
// Close; its connections end in a pod of the Service that is ready at the time.
func (c *Cluster) Address(ctx context.Context, address string) (string, error) {
	return c.forwarder.Address(ctx, address)
}

// Trouble adds to err, which a client of a forwarded port met, what the other
// side told of it: the client sees no more than that its connection ended.
func (c *Cluster) Trouble(err error) error { return c.forwarder.Trouble(err) }

// Page is the address at which people see a page in their browser, and the
// command that forwards a port of their machine for it: none if the page is
// outside of the cluster.
func (c *Cluster) Page(address string, port int) (page, command string) {
	u, err := url.Parse(address)
	if err != nil {
		return address, ""
	}
	t, certain := targetOf(u, c.clients.Namespace)
	if !certain {
		return address, ""
	}
	u.Host = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	return u.String(), fmt.Sprintf("kubectl port-forward --context %s svc/%s -n %s %d:%d", c.clients.Context, t.service, t.namespace, port, t.port)
}

// Close ends every port that Address opened.
func (c *Cluster) Close() { c.forwarder.Close() }
