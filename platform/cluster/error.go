package cluster

import (
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// explain says what an error of the API server means, when verb was tried on a
// resource.
func (c *Cluster) explain(err error, verb, resource, namespace string) error {
	switch {
	case err == nil:
		return nil
	case apierrors.IsForbidden(err):
		return &forbiddenError{verb: verb, resource: resource, namespace: namespace, err: err}
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("the cluster of context %s does not know you, log in again: %w", c.Context(), err)
	case apierrors.ReasonForError(err) == "":
		return fmt.Errorf("reach the cluster of context %s at %s: %w", c.Context(), c.Server(), err)
	default:
		return fmt.Errorf("%s %s in namespace %s: %w", verb, resource, namespace, err)
	}
}

// forbiddenError says in one sentence what the API server says in three.
type forbiddenError struct {
	verb, resource, namespace string
	err                       error
}

// Error names what is not allowed.
func (e *forbiddenError) Error() string {
	return fmt.Sprintf("you may not %s %s in namespace %s: ask for a role with what docs/on-your-cluster.md lists", e.verb, e.resource, e.namespace)
}

// Unwrap is the API server's error.
func (e *forbiddenError) Unwrap() error { return e.err }
