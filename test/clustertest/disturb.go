package clustertest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"refit.dev/events"
)

// lookEvery is how often a test looks whether what it waits for is there.
const lookEvery = 200 * time.Millisecond

// Await waits until done returns nil, and fails with what it returned last.
func Await(t testing.TB, what string, done func() error) {
	t.Helper()
	var last error
	require.Eventually(t, func() bool {
		last = done()
		return last == nil
	}, Patience, lookEvery, "waited for %s: %v", what, &last)
}

// Scale brings a Deployment to that many pods, and waits until they are ready
// or gone.
func (c *Cluster) Scale(t testing.TB, namespace, deployment string, replicas int32) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // a cleanup scales, too
	deployments := c.Kube.AppsV1().Deployments(namespace)
	scale, err := deployments.GetScale(ctx, deployment, metav1.GetOptions{})
	require.NoError(t, err)
	scale.Spec.Replicas = replicas
	_, err = deployments.UpdateScale(ctx, deployment, scale, metav1.UpdateOptions{})
	require.NoError(t, err)
	Await(t, fmt.Sprintf("%d pods of %s", replicas, deployment), func() error {
		now, err := deployments.Get(ctx, deployment, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if now.Status.ObservedGeneration < now.Generation || now.Status.Replicas != replicas || now.Status.ReadyReplicas != replicas {
			return fmt.Errorf("there are %d, %d of them ready", now.Status.Replicas, now.Status.ReadyReplicas)
		}
		if replicas > 0 {
			return nil
		}
		return c.gone(t, namespace, metav1.FormatLabelSelector(now.Spec.Selector))
	})
}

// gone is nil when a selector finds no pod, ending ones included.
func (c *Cluster) gone(t testing.TB, namespace, selector string) error {
	t.Helper()
	if pods := c.Pods(t, namespace, selector); len(pods) > 0 {
		return fmt.Errorf("%d pods are left, the first is %s", len(pods), pods[0].Name)
	}
	return nil
}

// Pods are the pods that a selector finds.
func (c *Cluster) Pods(t testing.TB, namespace, selector string) []corev1.Pod {
	t.Helper()
	list, err := c.Kube.CoreV1().Pods(namespace).List(context.WithoutCancel(t.Context()), metav1.ListOptions{LabelSelector: selector})
	require.NoError(t, err)
	return list.Items
}

// Kill ends the pods that a selector finds at once, as a power cut would, and
// returns how many there were.
func (c *Cluster) Kill(t testing.TB, namespace, selector string) int {
	t.Helper()
	now, killed := int64(0), 0
	for _, pod := range c.Pods(t, namespace, selector) {
		err := c.Kube.CoreV1().Pods(namespace).Delete(t.Context(), pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &now})
		if err == nil {
			killed++
		}
	}
	return killed
}

// Running waits for a pod that a selector finds to run, and returns it.
func (c *Cluster) Running(t testing.TB, namespace, selector string) corev1.Pod {
	t.Helper()
	var running corev1.Pod
	Await(t, "a running pod of "+selector, func() error {
		for _, pod := range c.Pods(t, namespace, selector) {
			if pod.Status.Phase == corev1.PodRunning && ready(&pod) {
				running = pod
				return nil
			}
		}
		return fmt.Errorf("none of %d pods runs", len(c.Pods(t, namespace, selector)))
	})
	return running
}

// Function selects the pods of a stage's function.
func Function(s events.Stage) string { return "serving.knative.dev/service=" + string(s) }

// Asleep waits until a stage's function has no pod.
func (i *Install) Asleep(t testing.TB, s events.Stage) {
	t.Helper()
	Await(t, "function "+string(s)+" to sleep", func() error { return i.gone(t, i.Namespace, Function(s)) })
}

// SourceDeployment is the Deployment that runs the ContainerSource.
func (i *Install) SourceDeployment(t testing.TB) string {
	t.Helper()
	list, err := i.Kube.AppsV1().Deployments(i.Namespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	for _, d := range list.Items {
		for _, owner := range d.OwnerReferences {
			if owner.Kind == "ContainerSource" {
				return d.Name
			}
		}
	}
	require.FailNow(t, "no Deployment belongs to the ContainerSource")
	return ""
}

func ready(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue && pod.DeletionTimestamp == nil
		}
	}
	return false
}
