package cluster

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// workloadLabel names, on each pod, the workload that it belongs to.
const workloadLabel = "refit.dev/workload"

// Log opens what a workload has written so far: the log of a TrainJob's
// container node; of a RayJob the submitter's, else the head's. It fails with
// fs.ErrNotExist if no pod of the workload has a log.
func (c *Cluster) Log(ctx context.Context, name string) (io.ReadCloser, error) {
	list, err := c.clients.Kubernetes.CoreV1().Pods(c.clients.Namespace).List(ctx, metav1.ListOptions{LabelSelector: workloadLabel + "=" + name})
	if err != nil {
		return nil, c.explain(err, "list", "pods", c.clients.Namespace)
	}
	pods := list.Items
	slices.SortStableFunc(pods, func(a, b corev1.Pod) int {
		return cmp.Or(cmp.Compare(rank(&a), rank(&b)), b.CreationTimestamp.Compare(a.CreationTimestamp.Time))
	})
	for i := range pods {
		log, err := c.podLog(ctx, &pods[i])
		if err == nil || !apierrors.IsBadRequest(err) && !apierrors.IsNotFound(err) {
			return log, c.explain(err, "get", "pods/log", c.clients.Namespace)
		}
	}
	if len(pods) > 0 {
		return nil, fmt.Errorf("%w: pod %s of workload %s is %s and has written nothing", fs.ErrNotExist, pods[0].Name, name, pods[0].Status.Phase)
	}
	return nil, fmt.Errorf("%w: workload %s has no pod", fs.ErrNotExist, name)
}

// rank puts the pod first whose log tells most: node and the submitter of a
// RayJob run the workload's own program.
func rank(p *corev1.Pod) int {
	switch p.Labels["ray.io/node-type"] {
	case "":
		return 0
	case "head":
		return 1
	default:
		return 2
	}
}

// podLog opens the log of the pod's main container. One that has not started is
// a bad request.
func (c *Cluster) podLog(ctx context.Context, p *corev1.Pod) (io.ReadCloser, error) {
	container := p.Spec.Containers[0].Name
	for i := range p.Spec.Containers {
		if p.Spec.Containers[i].Name == "node" {
			container = "node"
		}
	}
	return c.clients.Kubernetes.CoreV1().Pods(p.Namespace).GetLogs(p.Name, &corev1.PodLogOptions{Container: container}).Stream(ctx)
}
