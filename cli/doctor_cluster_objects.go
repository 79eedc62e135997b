package cli

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"refit.dev/config"
	"refit.dev/events"
	"refit.dev/platform/cluster"
)

// need is a group of kinds that refit cannot do without.
type need struct {
	name      string
	group     schema.GroupVersion
	resources []string
	advice    string
}

func needs() []need {
	return []need{
		{"Knative Serving", schema.GroupVersion{Group: "serving.knative.dev", Version: "v1"}, []string{"services"}, "install Knative Serving 1.22 or later: https://knative.dev/docs/install"},
		{"Knative Eventing", schema.GroupVersion{Group: "eventing.knative.dev", Version: "v1"}, []string{"brokers", "triggers"}, "install Knative Eventing 1.22 or later with a broker: https://knative.dev/docs/install"},
		{"Knative sources", schema.GroupVersion{Group: "sources.knative.dev", Version: "v1"}, []string{"containersources", "sinkbindings"}, "install Knative Eventing 1.22 or later: https://knative.dev/docs/install"},
		{"KubeRay", schema.GroupVersion{Group: "ray.io", Version: "v1"}, []string{"rayjobs"}, "install the KubeRay operator 1.6 or later: https://docs.ray.io/en/latest/cluster/kubernetes"},
		{"Kubeflow Trainer", schema.GroupVersion{Group: "trainer.kubeflow.org", Version: "v1alpha1"}, []string{"trainjobs", "trainingruntimes"}, "install Kubeflow Trainer 2.2 or later: https://www.kubeflow.org/docs/components/trainer"},
		{"JobSet", schema.GroupVersion{Group: "jobset.x-k8s.io", Version: "v1alpha2"}, []string{"jobsets"}, "install JobSet 0.11 or later, which Trainer stands on: https://jobset.sigs.k8s.io"},
	}
}

// kinds checks what the operators bring.
func (d *clusterDoctor) kinds(ctx context.Context) []check {
	var checks []check
	for _, n := range needs() {
		versions, err := d.cluster.Served(ctx, n.group, n.resources...)
		if err != nil {
			checks = append(checks, missing(n.name, err.Error(), n.advice))
			continue
		}
		checks = append(checks, ok(n.name, fmt.Sprintf("%s, versions served: %s", strings.Join(n.resources, ", "), strings.Join(versions, " "))))
	}
	return checks
}

// part is a kind of object of refit's own, with those that must be there.
type part struct {
	name, kind string
	resource   schema.GroupVersionResource
	objects    []string
}

func parts() ([]part, error) {
	triggers, err := triggerNames()
	if err != nil {
		return nil, err
	}
	services := []string{"journal"}
	for _, s := range events.Stages() {
		services = append(services, string(s))
	}
	return []part{
		{"functions and journal", "ksvc", schema.GroupVersionResource{Group: "serving.knative.dev", Version: "v1", Resource: "services"}, services},
		{"Broker", "broker", schema.GroupVersionResource{Group: "eventing.knative.dev", Version: "v1", Resource: "brokers"}, []string{"refit"}},
		{"Triggers", "trigger", schema.GroupVersionResource{Group: "eventing.knative.dev", Version: "v1", Resource: "triggers"}, triggers},
		{"TrainingRuntime", "trainingruntime", schema.GroupVersionResource{Group: "trainer.kubeflow.org", Version: "v1alpha1", Resource: "trainingruntimes"}, []string{"refit-workload"}},
		{"SinkBinding", "sinkbinding", schema.GroupVersionResource{Group: "sources.knative.dev", Version: "v1", Resource: "sinkbindings"}, []string{"functions"}},
		{"source", "containersource", schema.GroupVersionResource{Group: "sources.knative.dev", Version: "v1", Resource: "containersources"}, []string{"source"}},
	}, nil
}

// triggerNames are the triggers that the manifests in this binary declare, one
// file each.
func triggerNames() ([]string, error) {
	files, err := fs.Glob(config.Files, "base/triggers/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list the triggers: %w", err)
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(strings.TrimPrefix(f, "base/triggers/"), ".yaml"))
	}
	return names, nil
}

// ready checks that each object of refit is there and does what it should.
func (d *clusterDoctor) ready(ctx context.Context) []check {
	list, err := parts()
	if err != nil {
		return []check{missing("Triggers", err.Error(), "build refit again")}
	}
	var checks []check
	for _, p := range list {
		checks = append(checks, d.part(ctx, p)...)
	}
	return checks
}

// part is one check if all is well, else one for each object that is not ready
// and one for all that are not there.
func (d *clusterDoctor) part(ctx context.Context, p part) []check {
	found, err := d.cluster.Readiness(ctx, p.resource)
	if err != nil {
		return []check{failing(p.name, err, install)}
	}
	var checks []check
	var absent []string
	for _, name := range p.objects {
		i := slices.IndexFunc(found, func(r cluster.Readiness) bool { return r.Name == name })
		switch {
		case i < 0:
			absent = append(absent, name)
		case !found[i].Ready && p.kind != "trainingruntime": // a recipe, which has no status
			checks = append(checks, missing(p.kind+" "+name, found[i].Why, fmt.Sprintf("kubectl describe %s %s -n %s", p.kind, name, d.cluster.Namespace())))
		}
	}
	if len(absent) > 0 {
		checks = append(checks, missing(p.name, "not there: "+strings.Join(absent, ", "), install))
	}
	if len(checks) == 0 {
		checks = append(checks, ok(p.name, fmt.Sprintf("%d of %d", len(p.objects), len(p.objects))))
	}
	return checks
}
