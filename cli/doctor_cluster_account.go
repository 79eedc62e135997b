package cli

import (
	"context"
	"fmt"
	"strings"

	"refit.dev/platform/cluster"
)

// account is a service account of refit: what it must be able to do, and what
// it must not.
type account struct {
	name     string
	may, not []cluster.Permission
}

// on are the permissions for some verbs on a resource.
func on(group, resource, subresource string, verbs ...string) []cluster.Permission {
	var list []cluster.Permission
	for _, v := range verbs {
		list = append(list, cluster.Permission{Verb: v, Group: group, Resource: resource, Subresource: subresource})
	}
	return list
}

func join(lists ...[]cluster.Permission) []cluster.Permission {
	var all []cluster.Permission
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

func accounts() []account {
	const ray, trainer = "ray.io", "trainer.kubeflow.org"
	nobody := join(
		on("", "secrets", "", "get", "list"), on("", "pods", "", "create", "delete"), on("", "pods", "exec", "create"), on("batch", "jobs", "", "create"),
		on("rbac.authorization.k8s.io", "rolebindings", "", "create"), on("", "serviceaccounts", "token", "create"),
		[]cluster.Permission{{Verb: "get", Resource: "secrets", Namespace: "kube-system"}},
	)
	workloads := func(verbs ...string) []cluster.Permission {
		return join(on(ray, "rayjobs", "", verbs...), on(trainer, "trainjobs", "", verbs...))
	}
	return []account{
		{"refit-function", workloads("create", "get"), join(nobody, workloads("list", "delete"), on("", "pods", "", "list"))},
		{
			"refit-source",
			join(workloads("get", "list", "watch", "patch", "delete"), on("", "pods", "", "get", "list", "watch"), on("", "pods", "log", "get"), on("", "events", "", "list")),
			join(nobody, workloads("create")),
		},
		{"refit-journal", nil, join(nobody, workloads("create", "get"))},
		{"refit-workload", nil, join(nobody, workloads("create", "get"))},
	}
}

// permissions asks the API server what refit's service accounts may do.
func (d *clusterDoctor) permissions(ctx context.Context) []check {
	var checks []check
	for _, a := range accounts() {
		c, err := d.account(ctx, a)
		if err != nil {
			return []check{advice("permissions of the service accounts", err.Error(), "let somebody run doctor who may create SubjectAccessReviews")}
		}
		checks = append(checks, c)
	}
	return checks
}

func (d *clusterDoctor) account(ctx context.Context, a account) (check, error) {
	name := "permissions of " + a.name
	lacks, err := d.filter(ctx, a.name, a.may, false)
	if err != nil {
		return check{}, err
	}
	extra, err := d.filter(ctx, a.name, a.not, true)
	if err != nil {
		return check{}, err
	}
	switch {
	case len(lacks) > 0:
		return missing(name, "may not "+strings.Join(lacks, ", "), install), nil
	case len(extra) > 0:
		who := "system:serviceaccount:" + d.cluster.Namespace() + ":" + a.name
		return missing(name, "may "+strings.Join(extra, ", "), "find the RoleBinding or ClusterRoleBinding that gives it that: kubectl auth can-i --list -n "+d.cluster.Namespace()+" --as "+who), nil
	}
	return ok(name, fmt.Sprintf("may what it needs (%d), may nothing else that was tried (%d)", len(a.may), len(a.not))), nil
}

// filter keeps the permissions that an account has, or those that it has not.
func (d *clusterDoctor) filter(ctx context.Context, name string, list []cluster.Permission, allowed bool) ([]string, error) {
	var kept []string
	for _, p := range list {
		may, err := d.cluster.May(ctx, name, p)
		if err != nil {
			return nil, err
		}
		if may == allowed {
			kept = append(kept, p.String())
		}
	}
	return kept, nil
}
