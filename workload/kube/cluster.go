package kube

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// ServiceAccountDir is where a pod finds what its service account is.
const ServiceAccountDir = "/var/run/secrets/kubernetes.io/serviceaccount"

// Pod is what a pod knows of its cluster.
type Pod struct {
	// Env holds KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT.
	Env map[string]string
	// Dir is ServiceAccountDir but for tests.
	Dir string
}

// Client returns a client of the cluster's API server, as the pod's service
// account. It connects at the first request. A request that is not answered
// within 10 seconds fails.
func (p Pod) Client() (dynamic.Interface, error) {
	host, port := p.Env["KUBERNETES_SERVICE_HOST"], p.Env["KUBERNETES_SERVICE_PORT"]
	if host == "" || port == "" {
		return nil, errors.New("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: this works in a pod only")
	}
	client, err := dynamic.NewForConfig(&rest.Config{
		Host:            "https://" + net.JoinHostPort(host, port),
		BearerTokenFile: p.file("token"),
		TLSClientConfig: rest.TLSClientConfig{CAFile: p.file("ca.crt")},
		UserAgent:       "refit",
		Timeout:         10 * time.Second,
		QPS:             -1, // the API server has limits of its own, and the broker retries
	})
	if err != nil {
		return nil, fmt.Errorf("make a client of the cluster: %w", err)
	}
	return client, nil
}

// Namespace is the pod's.
func (p Pod) Namespace() (string, error) {
	name, err := os.ReadFile(p.file("namespace"))
	if err != nil {
		return "", fmt.Errorf("learn the pod's namespace: %w", err)
	}
	return strings.TrimSpace(string(name)), nil
}

func (p Pod) file(name string) string {
	if p.Dir == "" {
		return filepath.Join(ServiceAccountDir, name)
	}
	return filepath.Join(p.Dir, name)
}
