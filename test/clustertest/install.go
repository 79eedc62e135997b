package clustertest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"refit.dev/platform/cluster"
	"refit.dev/stage/store"
	"refit.dev/test/platformtest"
)

// Patience is how long a test waits for what a cluster does with two cores.
const Patience = 10 * time.Minute

// Install is refit in a namespace of a cluster, reached from this machine.
type Install struct {
	*Cluster
	*platformtest.Platform

	Namespace string
	// NotificationToken is what an object store shows to the source.
	NotificationToken string

	reach *cluster.Cluster
}

// The Secrets that an operator makes, with the fields that are random here.
var secrets = map[string]map[string]func() string{
	"refit-s3":     {"AWS_ACCESS_KEY_ID": random, "AWS_SECRET_ACCESS_KEY": random},
	"refit-nats":   {"REFIT_NATS_TOKEN": random},
	"refit-source": {"REFIT_NOTIFICATION_TOKEN": random},
}

func random() string {
	b := make([]byte, 20)
	_, _ = rand.Read(b) // never fails, it says
	return hex.EncodeToString(b)
}

// Overlay is a way to install refit.
type Overlay struct {
	// Dir is its folder in the repository, Namespace where it puts refit.
	Dir, Namespace string
	// MLflow is the namespace of its MLflow, empty without one.
	MLflow string
}

// Install applies the overlay and waits until all of it is ready. What is there
// already is brought up to date, and Secrets that are there are kept.
func (c *Cluster) Install(ctx context.Context, o Overlay) (*Install, error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	values, err := c.prepare(ctx, o.Namespace)
	if err != nil {
		return nil, err
	}
	if _, err := c.Kubectl(ctx, "", "apply", "--server-side", "--force-conflicts", "-k", filepath.Join(platformtest.Root(), o.Dir)); err != nil {
		return nil, err
	}
	for _, namespace := range []string{o.Namespace, o.MLflow} {
		if err := c.waitFor(ctx, namespace); err != nil {
			return nil, err
		}
	}
	i := &Install{Cluster: c, Namespace: o.Namespace, NotificationToken: values["REFIT_NOTIFICATION_TOKEN"]}
	if err := i.connect(ctx, o.MLflow != ""); err != nil {
		i.Close()
		return nil, err
	}
	return i, nil
}

// prepare makes the namespace and its Secrets, and returns what is in these.
func (c *Cluster) prepare(ctx context.Context, namespace string) (map[string]string, error) {
	_, err := c.Kube.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return nil, fmt.Errorf("make namespace %s: %w", namespace, err)
	}
	values := map[string]string{}
	for name, fields := range secrets {
		secret, err := c.secret(ctx, namespace, name, fields)
		if err != nil {
			return nil, err
		}
		for field, value := range secret.Data {
			values[field] = string(value)
		}
	}
	return values, nil
}

func (c *Cluster) secret(ctx context.Context, namespace, name string, fields map[string]func() string) (*corev1.Secret, error) {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string][]byte{}}
	for field, value := range fields {
		secret.Data[field] = []byte(value())
	}
	made, err := c.Kube.CoreV1().Secrets(namespace).Create(ctx, secret, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		made, err = c.Kube.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
	}
	if err != nil {
		return nil, fmt.Errorf("make secret %s: %w", name, err)
	}
	return made, nil
}

// The kinds that say by a condition whether they are ready.
var conditions = map[schema.GroupVersionResource]string{
	{Group: "apps", Version: "v1", Resource: "deployments"}:                     "Available",
	{Group: "eventing.knative.dev", Version: "v1", Resource: "brokers"}:         "Ready",
	{Group: "eventing.knative.dev", Version: "v1", Resource: "triggers"}:        "Ready",
	{Group: "sources.knative.dev", Version: "v1", Resource: "sinkbindings"}:     "Ready",
	{Group: "sources.knative.dev", Version: "v1", Resource: "containersources"}: "Ready",
	{Group: "serving.knative.dev", Version: "v1", Resource: "services"}:         "Ready",
}

// waitFor waits until all of a namespace is ready; the error says what is not.
func (c *Cluster) waitFor(ctx context.Context, namespace string) error {
	if namespace == "" {
		return nil
	}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		waiting, err := c.unready(ctx, namespace)
		if err == nil && len(waiting) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("namespace %s: not ready: %s: %w", namespace, strings.Join(waiting, "; "), errors.Join(err, ctx.Err()))
		case <-ticker.C:
		}
	}
}

func (c *Cluster) unready(ctx context.Context, namespace string) ([]string, error) {
	var waiting []string
	for resource, condition := range conditions {
		list, err := c.Dynamic.Resource(resource).Namespace(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, fmt.Errorf("look at %s: %w", resource.Resource, err)
		}
		for n := range list.Items {
			if why, ok := holds(&list.Items[n], condition); !ok {
				waiting = append(waiting, resource.Resource+"/"+list.Items[n].GetName()+" "+why)
			}
		}
	}
	return waiting, nil
}

// holds tells whether a condition is true of the newest version of object.
func holds(object *unstructured.Unstructured, condition string) (string, bool) {
	seen, _, _ := unstructured.NestedInt64(object.Object, "status", "observedGeneration")
	if seen != 0 && seen < object.GetGeneration() {
		return "is being brought up to date", false
	}
	list, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, entry := range list {
		if c, ok := entry.(map[string]any); ok && c["type"] == condition {
			return fmt.Sprint(c["message"]), c["status"] == string(metav1.ConditionTrue)
		}
	}
	return "has no condition " + condition, false
}

// connect reaches the store, the journal and the broker as refit's own commands
// do from outside.
func (i *Install) connect(ctx context.Context, mlflow bool) error {
	var err error
	if i.reach, err = cluster.Open(cluster.Config{Namespace: i.Namespace}); err != nil {
		return err
	}
	c, err := i.reach.Connect(ctx)
	if err != nil {
		return err
	}
	if c.Broker, err = i.reach.Broker(ctx); err != nil {
		return err
	}
	if c.Broker, err = i.reach.Address(ctx, c.Broker); err != nil {
		return err
	}
	if mlflow {
		if c.MLflow, err = i.reach.Address(ctx, c.MLflow); err != nil {
			return err
		}
	}
	if i.Platform, err = platformtest.Attach(c); err != nil {
		return fmt.Errorf("reach refit in namespace %s: %w", i.Namespace, err)
	}
	i.Patience = Patience
	return nil
}

// Address is an address of this machine for one that pods resolve, until Close.
func (i *Install) Address(t testing.TB, address string) string {
	t.Helper()
	reached, err := i.reach.Address(t.Context(), address)
	require.NoError(t, err)
	return reached
}

// S3 reaches the object store.
func (i *Install) S3() store.S3Config {
	c := i.Connection().S3
	return store.S3Config{Endpoint: c.Endpoint, Region: c.Region, AccessKey: c.AccessKey, SecretKey: c.SecretKey}
}

// State is the bucket of runs.
func (i *Install) State() store.Bucket { return store.NewS3(i.S3().Client(), i.Connection().S3.State) }

// Close ends the connections. What was installed stays.
func (i *Install) Close() {
	if i.Platform != nil {
		_ = i.Platform.Close() // it only closes connections
	}
	if i.reach != nil {
		i.reach.Close()
	}
}
