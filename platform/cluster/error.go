package cluster

import (
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// explain says what to do about an error of the API server, when verb was
// tried on a resource.
func (c *Cluster) explain(err error, verb, resource, namespace string) error {
	switch {
	case err == nil:
		return nil
	case apierrors.IsForbidden(err):
		return fmt.Errorf("you may not %s %s in namespace %s: ask for a role that lets you (docs/on-your-cluster.md lists what the command line needs): %w", verb, resource, namespace, err)
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("the cluster of context %s does not know you: log in again: %w", c.clients.Context, err)
	case apierrors.ReasonForError(err) == "":
		return fmt.Errorf("reach the cluster of context %s at %s: %w", c.clients.Context, c.clients.Server, err)
	default:
		return fmt.Errorf("%s %s in namespace %s: %w", verb, resource, namespace, err)
	}
}
