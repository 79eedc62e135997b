package pod

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// logLines is how many lines of a log are asked for; the watcher keeps the last
// bytes of them.
const logLines = 20_000

// cluster is the API server: its objects, and the logs of the pods of one
// namespace, which are no objects.
type cluster struct {
	objects   dynamic.Interface
	logs      *rest.RESTClient
	namespace string
}

// connect makes the clients of the cluster that kubeconfig says, or else of the
// one that this pod is in. They connect at the first request.
func connect(kubeconfig, namespace string) (*cluster, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("find the cluster: %w", err)
	}
	config.UserAgent = "refit-source"
	// The API server has limits of its own, and ends are not to wait here.
	config.QPS = -1
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client of the cluster: %w", err)
	}
	logs, err := rest.UnversionedRESTClientFor(dynamic.ConfigFor(config))
	if err != nil {
		return nil, fmt.Errorf("make a client of the cluster's logs: %w", err)
	}
	return &cluster{objects: objects, logs: logs, namespace: namespace}, nil
}

// log opens the log of a pod's container.
func (c *cluster) log(ctx context.Context, pod, container string, previous bool) (io.ReadCloser, error) {
	return c.logs.Get().AbsPath("/api/v1/namespaces/"+c.namespace+"/pods/"+pod+"/log").
		Param("container", container).Param("previous", strconv.FormatBool(previous)).Param("tailLines", strconv.Itoa(logLines)).
		Stream(ctx)
}
