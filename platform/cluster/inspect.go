package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Version is the API server's version, such as v1.37.2.
func (c *Cluster) Version(context.Context) (string, error) {
	v, err := c.clients.Kubernetes.Discovery().ServerVersion()
	if err != nil {
		return "", c.explain(err, "get", "/version", c.clients.Namespace)
	}
	return v.GitVersion, nil
}

// ErrNotServed means that the cluster does not know a kind of object.
var ErrNotServed = errors.New("the cluster does not serve it")

// Served tells the versions of a group that the API server serves, or fails
// with ErrNotServed if the wanted one lacks one of the resources.
func (c *Cluster) Served(_ context.Context, wanted schema.GroupVersion, resources ...string) ([]string, error) {
	groups, err := c.clients.Kubernetes.Discovery().ServerGroups()
	if err != nil {
		return nil, c.explain(err, "get", "/apis", c.clients.Namespace)
	}
	var versions []string
	for _, g := range groups.Groups {
		if g.Name == wanted.Group {
			for _, v := range g.Versions {
				versions = append(versions, v.Version)
			}
		}
	}
	if !slices.Contains(versions, wanted.Version) {
		return versions, fmt.Errorf("%w: %s has the versions [%s]", ErrNotServed, wanted, strings.Join(versions, " "))
	}
	list, err := c.clients.Kubernetes.Discovery().ServerResourcesForGroupVersion(wanted.String())
	if err != nil {
		return versions, c.explain(err, "get", "/apis/"+wanted.String(), c.clients.Namespace)
	}
	for _, r := range resources {
		if !slices.ContainsFunc(list.APIResources, func(known metav1.APIResource) bool { return known.Name == r }) {
			return versions, fmt.Errorf("%w: %s has no %s", ErrNotServed, wanted, r)
		}
	}
	return versions, nil
}

// Readiness is whether an object is ready, and if not, why.
type Readiness struct {
	Name  string
	Ready bool
	Why   string
}

// Readiness tells it of each object of a resource in refit's namespace.
func (c *Cluster) Readiness(ctx context.Context, r schema.GroupVersionResource) ([]Readiness, error) {
	found, err := c.clients.Objects.Resource(r).Namespace(c.clients.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, c.explain(err, "list", r.GroupResource().String(), c.clients.Namespace)
	}
	var list []Readiness
	for i := range found.Items {
		list = append(list, readinessOf(&found.Items[i]))
	}
	return list, nil
}

// readinessOf reads the conditions in the way of Knative: Ready says whether,
// the others why not.
func readinessOf(o *unstructured.Unstructured) Readiness {
	r := Readiness{Name: o.GetName(), Why: "its controller has not looked at it yet"}
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	var ready string
	var reasons []string
	for _, c := range conditions {
		fields, _ := c.(map[string]any)
		status := fmt.Sprint(fields["status"])
		if fields["type"] == "Ready" {
			r.Ready, ready = status == "True", reason(fields)
		} else if status != "True" && fields["severity"] != "Info" {
			reasons = append(reasons, reason(fields))
		}
	}
	switch {
	case r.Ready:
		r.Why = ""
	case len(reasons) > 0:
		r.Why = strings.Join(reasons, "; ")
	case ready != "":
		r.Why = ready
	}
	return r
}

func reason(condition map[string]any) string {
	parts := []string{fmt.Sprint(condition["type"])}
	for _, name := range []string{"reason", "message"} {
		if text, _ := condition[name].(string); text != "" {
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, ": ")
}

// Permission is something that somebody may do or not.
type Permission struct {
	Verb, Group, Resource, Subresource string
	// Namespace is refit's by default.
	Namespace string
}

// String is "create rayjobs", "get pods/log" or "get secrets in namespace x".
func (p Permission) String() string {
	text := p.Verb + " " + strings.TrimSuffix(p.Resource+"/"+p.Subresource, "/")
	if p.Namespace != "" {
		text += " in namespace " + p.Namespace
	}
	return text
}

// May asks the API server whether a service account of refit's namespace has a
// permission. It needs the right to create SubjectAccessReviews.
func (c *Cluster) May(ctx context.Context, account string, p Permission) (bool, error) {
	namespace := p.Namespace
	if namespace == "" {
		namespace = c.clients.Namespace
	}
	review, err := c.clients.Kubernetes.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User:   "system:serviceaccount:" + c.clients.Namespace + ":" + account,
			Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + c.clients.Namespace, "system:authenticated"},
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Namespace: namespace, Verb: p.Verb, Group: p.Group, Resource: p.Resource, Subresource: p.Subresource,
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return false, c.explain(err, "create", "subjectaccessreviews.authorization.k8s.io", namespace)
	}
	return review.Status.Allowed, nil
}
