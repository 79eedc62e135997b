package clustertest

import (
	"context"
	"fmt"
	"io"
	"time"
)

// Report prints what helps to see why a test failed: all pods, and of the
// namespaces what is not ready, the latest events and the ends of the logs.
func (c *Cluster) Report(w io.Writer, namespaces ...string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c.print(ctx, w, "get", "pods", "--all-namespaces", "-o", "wide")
	for _, namespace := range namespaces {
		c.print(ctx, w, "-n", namespace, "get", "brokers,triggers,ksvc,containersources,deployments,rayjobs,trainjobs", "--ignore-not-found")
		c.print(ctx, w, "-n", namespace, "get", "events", "--sort-by=.lastTimestamp")
		c.print(ctx, w, "-n", namespace, "logs", "-l", "app.kubernetes.io/part-of=refit", "--all-containers", "--prefix", "--tail=100", "--ignore-errors")
		c.print(ctx, w, "-n", namespace, "logs", "-l", "app.kubernetes.io/managed-by=refit", "--all-containers", "--prefix", "--tail=40", "--ignore-errors")
	}
}

func (c *Cluster) print(ctx context.Context, w io.Writer, args ...string) {
	out, err := c.Kubectl(ctx, "", args...)
	fmt.Fprintln(w, "---", args)
	if err != nil {
		fmt.Fprintln(w, err)
	}
	fmt.Fprintln(w, out)
}
