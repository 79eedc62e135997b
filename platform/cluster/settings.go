package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"refit.dev/platform/host"
)

// The objects that hold refit's settings.
const (
	settingsMap   = "refit"
	storeSecret   = "refit-s3"
	journalSecret = "refit-nats"
	brokerName    = "refit"
)

// ErrNotInstalled means that there is no refit in the namespace.
var ErrNotInstalled = errors.New("there is no refit")

// Settings reads how refit is configured, with addresses as its pods see them.
// It fails with ErrNotInstalled if it is not there.
func (c *Cluster) Settings(ctx context.Context) (host.Connection, error) {
	var s host.Connection
	values, err := c.values(ctx, settingsMap)
	if err != nil {
		return s, err
	}
	store, err := c.secret(ctx, storeSecret, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
	if err != nil {
		return s, err
	}
	nats, err := c.secret(ctx, journalSecret, "REFIT_NATS_TOKEN")
	if err != nil {
		return s, err
	}
	return host.Connection{
		S3: host.S3{
			Endpoint: values["REFIT_S3_ENDPOINT"], Region: values["REFIT_S3_REGION"],
			AccessKey: store["AWS_ACCESS_KEY_ID"], SecretKey: store["AWS_SECRET_ACCESS_KEY"],
			Landing: values["REFIT_LANDING_BUCKET"], State: values["REFIT_BUCKET"],
		},
		NATS:   host.Endpoint{URL: values["REFIT_NATS_URL"], Token: nats["REFIT_NATS_TOKEN"]},
		MLflow: values["MLFLOW_TRACKING_URI"],
	}, nil
}

// values reads the ConfigMap with refit's settings.
func (c *Cluster) values(ctx context.Context, name string) (map[string]string, error) {
	found, err := c.clients.Kubernetes.CoreV1().ConfigMaps(c.clients.Namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("%w in namespace %s of context %s (no ConfigMap %s): kubectl apply -k config/overlays/dev installs one, --namespace names another place", ErrNotInstalled, c.clients.Namespace, c.clients.Context, name)
	}
	if err != nil {
		return nil, c.explain(err, "get", "configmaps", c.clients.Namespace)
	}
	var empty []string
	for _, key := range []string{"REFIT_S3_ENDPOINT", "REFIT_S3_REGION", "REFIT_BUCKET", "REFIT_LANDING_BUCKET", "REFIT_NATS_URL"} {
		if found.Data[key] == "" {
			empty = append(empty, key)
		}
	}
	if len(empty) > 0 {
		return nil, fmt.Errorf("ConfigMap %s in namespace %s lacks %s: set it in the overlay and apply it again", name, c.clients.Namespace, strings.Join(empty, ", "))
	}
	return found.Data, nil
}

// secret reads the keys of a Secret. Its values go nowhere but to the service
// that asks for them.
func (c *Cluster) secret(ctx context.Context, name string, keys ...string) (map[string]string, error) {
	lacking, err := c.LackingKeys(ctx, "Secret", name, keys...)
	if err != nil {
		return nil, err
	}
	if len(lacking) > 0 {
		return nil, fmt.Errorf("Secret %s in namespace %s lacks %s: make it as docs/on-your-cluster.md says", name, c.clients.Namespace, strings.Join(lacking, ", ")) //nolint:staticcheck // Secret is the name of a kind
	}
	found, err := c.clients.Kubernetes.CoreV1().Secrets(c.clients.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, c.explain(err, "get", "secrets", c.clients.Namespace)
	}
	values := map[string]string{}
	for _, key := range keys {
		values[key] = string(found.Data[key])
	}
	return values, nil
}

// LackingKeys tells which keys a ConfigMap or Secret has no value for: all of
// them if it is not there.
func (c *Cluster) LackingKeys(ctx context.Context, kind, name string, keys ...string) ([]string, error) {
	filled, err := c.filledKeys(ctx, kind, name)
	if apierrors.IsNotFound(err) {
		return keys, nil
	}
	if err != nil {
		return nil, c.explain(err, "get", strings.ToLower(kind)+"s", c.clients.Namespace)
	}
	return slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return slices.Contains(filled, key) }), nil
}

func (c *Cluster) filledKeys(ctx context.Context, kind, name string) (keys []string, err error) {
	if kind == "Secret" {
		s, err := c.clients.Kubernetes.CoreV1().Secrets(c.clients.Namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		for key, value := range s.Data {
			if len(value) > 0 {
				keys = append(keys, key)
			}
		}
		return keys, nil
	}
	m, err := c.clients.Kubernetes.CoreV1().ConfigMaps(c.clients.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	for key, value := range m.Data {
		if value != "" {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// Broker returns where events are posted, as pods see it.
func (c *Cluster) Broker(ctx context.Context) (string, error) {
	brokers := schema.GroupVersionResource{Group: "eventing.knative.dev", Version: "v1", Resource: "brokers"}
	b, err := c.clients.Objects.Resource(brokers).Namespace(c.clients.Namespace).Get(ctx, brokerName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return "", fmt.Errorf("%w in namespace %s of context %s (no Broker %s): kubectl apply -k config/overlays/dev installs one", ErrNotInstalled, c.clients.Namespace, c.clients.Context, brokerName)
	}
	if err != nil {
		return "", c.explain(err, "get", "brokers.eventing.knative.dev", c.clients.Namespace)
	}
	address, _, _ := unstructured.NestedString(b.Object, "status", "address", "url")
	if address == "" {
		return "", fmt.Errorf("Broker %s in namespace %s has no address yet: %s", brokerName, c.clients.Namespace, readinessOf(b).Why)
	}
	return address, nil
}
