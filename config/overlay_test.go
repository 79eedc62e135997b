package config_test

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"refit.dev/platform/broker"
)

// secrets are made by the operator, in the namespace of refit.
var secrets = map[string][]string{
	"refit-s3":     {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"},
	"refit-nats":   {"REFIT_NATS_TOKEN"},
	"refit-source": {"REFIT_NOTIFICATION_TOKEN"},
}

// rights are all that refit may do in a cluster, by role.
var rights = map[string][]rbacv1.PolicyRule{
	"refit-function": {
		{APIGroups: []string{"ray.io"}, Resources: []string{"rayjobs"}, Verbs: []string{"create", "get"}},
		{APIGroups: []string{"trainer.kubeflow.org"}, Resources: []string{"trainjobs"}, Verbs: []string{"create", "get"}},
	},
	"refit-source": {
		{APIGroups: []string{"ray.io"}, Resources: []string{"rayjobs"}, Verbs: []string{"get", "list", "watch", "patch", "delete"}},
		{APIGroups: []string{"trainer.kubeflow.org"}, Resources: []string{"trainjobs"}, Verbs: []string{"get", "list", "watch", "patch", "delete"}},
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get", "list", "watch"}},
		{APIGroups: []string{""}, Resources: []string{"pods/log"}, Verbs: []string{"get"}},
		{APIGroups: []string{""}, Resources: []string{"events"}, Verbs: []string{"list"}},
	},
}

// everyOverlay runs a test on each rendering.
func everyOverlay(t *testing.T, test func(*testing.T, rendering)) {
	t.Helper()
	for _, overlay := range overlays {
		t.Run(overlay, func(t *testing.T) { test(t, render(t, overlay)) })
	}
}

// load reads broker and triggers as the broker of one machine does, but from
// the rendering.
func (r rendering) load(t *testing.T) *broker.Manifests {
	t.Helper()
	m, err := broker.Load(fstest.MapFS{"all.yaml": {Data: r.yaml(t)}})
	require.NoError(t, err)
	return m
}

func TestEveryObjectHasItsNamespace(t *testing.T) {
	everyOverlay(t, func(t *testing.T, r rendering) {
		for _, object := range r {
			if object.GetKind() != "Namespace" {
				require.Contains(t, []string{"kubeflow", "mlflow"}, object.GetNamespace(), "%s %s", object.GetKind(), object.GetName())
			}
		}
	})
	dev := render(t, "dev")
	require.NotNil(t, dev.find("", "Service", "mlflow", "mlflow-service"))
	require.NotNil(t, dev.find("", "Namespace", "", "mlflow"))
	require.Nil(t, dev.find("", "Namespace", "", "kubeflow"), "deleting it would delete what is not refit's")
	require.Empty(t, render(t, "production").of("", "Namespace"), "deleting it would delete what is not refit's")
}

func TestEverySubscriberExists(t *testing.T) {
	everyOverlay(t, func(t *testing.T, r rendering) {
		m := r.load(t)
		require.Equal(t, "kubeflow", m.Broker.Namespace)
		require.Len(t, m.Triggers, 13)
		for _, trigger := range m.Triggers {
			for _, ref := range []string{trigger.Spec.Subscriber.Ref.Name, trigger.Spec.Delivery.DeadLetterSink.Ref.Name} {
				require.NotNil(t, r.find("serving.knative.dev", "Service", trigger.Namespace, ref), "%s: %s", trigger.Name, ref)
			}
		}
	})
}

// TestBrokerAddressReachesItsSenders holds that the five functions, and they
// alone, are bound to the broker, and that the source names it as well.
func TestBrokerAddressReachesItsSenders(t *testing.T) {
	everyOverlay(t, func(t *testing.T, r rendering) {
		binding := r.find("sources.knative.dev", "SinkBinding", "kubeflow", "functions")
		require.NotNil(t, binding)
		selector, _, err := unstructured.NestedStringMap(binding.Object, "spec", "subject", "selector", "matchLabels")
		require.NoError(t, err)
		var bound []string
		for _, service := range r.of("serving.knative.dev", "Service") {
			if labels.SelectorFromSet(selector).Matches(labels.Set(service.GetLabels())) {
				bound = append(bound, service.GetName())
			}
		}
		require.ElementsMatch(t, stages, bound)
		for _, sender := range []*unstructured.Unstructured{binding, r.find("sources.knative.dev", "ContainerSource", "kubeflow", "source")} {
			ref, _, err := unstructured.NestedStringMap(sender.Object, "spec", "sink", "ref")
			require.NoError(t, err)
			require.Equal(t, map[string]string{"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": "refit"}, ref)
		}
	})
}

func TestFunctionsSleepAndStayInside(t *testing.T) {
	everyOverlay(t, func(t *testing.T, r rendering) {
		require.Len(t, r.of("serving.knative.dev", "Service"), len(services))
		for _, service := range r.of("serving.knative.dev", "Service") {
			scale, _, err := unstructured.NestedString(service.Object, "spec", "template", "metadata", "annotations", "autoscaling.knative.dev/min-scale")
			require.NoError(t, err)
			want := "0"
			if service.GetName() == "journal" {
				want = "1"
			}
			require.Equal(t, want, scale, service.GetName())
			require.Equal(t, "cluster-local", service.GetLabels()["networking.knative.dev/visibility"])
		}
	})
}

func TestEachFunctionHasItsTemplateAndImage(t *testing.T) {
	everyOverlay(t, func(t *testing.T, r rendering) {
		pods := map[string]pod{}
		for _, p := range r.pods(t) {
			pods[p.name] = p
		}
		for _, stage := range stages {
			c := pods["Service "+stage].spec.Containers[0]
			require.Equal(t, "dev.local/refit-"+stage+":v1.0", c.Image)
			env := map[string]string{}
			for _, v := range c.Env {
				env[v.Name] = v.Value
			}
			require.Equal(t, "kubernetes", env["REFIT_LAUNCHER"])
			require.Equal(t, ":8080", env["LISTEN_ADDRESS"], "func-go takes PORT for the loopback interface")
			require.Equal(t, c.VolumeMounts[0].MountPath+"/"+stage+".yaml", env["REFIT_TEMPLATE"])
			require.Equal(t, "/etc/refit/workloads", c.VolumeMounts[0].MountPath)
		}
	})
}

func TestImagesComeFromOnePlace(t *testing.T) {
	everyOverlay(t, func(t *testing.T, r rendering) {
		for _, p := range r.pods(t) {
			require.Regexp(t, `^dev\.local/refit(-[a-z-]+)?:v1\.0$`, p.spec.Containers[0].Image, p.name)
		}
		images := r.configMap(t, "kubeflow", "refit-images")
		for _, name := range []string{"data-prep", "ray-train", "mlflow-ops"} {
			require.Equal(t, "dev.local/refit-"+name+":v1.0", images[name])
		}
	})
}

func TestSettingsAreWholeAndAgree(t *testing.T) {
	everyOverlay(t, func(t *testing.T, r rendering) {
		got := r.configMap(t, "kubeflow", "refit")
		require.ElementsMatch(t, []string{
			"REFIT_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "REFIT_S3_REGION", "AWS_REGION", "AWS_DEFAULT_REGION", "REFIT_BUCKET",
			"REFIT_LANDING_BUCKET", "MLFLOW_TRACKING_URI", "REFIT_NATS_URL", "REFIT_DEADLINE", "REFIT_SWEEP",
		}, slices.Collect(maps.Keys(got)))
		require.Equal(t, got["REFIT_S3_ENDPOINT"], got["AWS_ENDPOINT_URL_S3"])
		require.Equal(t, got["REFIT_S3_REGION"], got["AWS_REGION"])
		require.Equal(t, got["REFIT_S3_REGION"], got["AWS_DEFAULT_REGION"])
	})
}

func (r rendering) configMap(t *testing.T, namespace, name string) map[string]string {
	t.Helper()
	object := r.find("", "ConfigMap", namespace, name)
	require.NotNil(t, object, name)
	return convert[corev1.ConfigMap](t, object).Data
}

func TestEveryReferenceExists(t *testing.T) {
	everyOverlay(t, func(t *testing.T, r rendering) {
		for _, p := range r.pods(t) {
			if name := p.spec.ServiceAccountName; name != "" {
				require.NotNil(t, r.find("", "ServiceAccount", p.namespace, name), "%s: %s", p.name, name)
			}
			for _, v := range p.spec.Volumes {
				require.True(t, v.ConfigMap != nil || v.EmptyDir != nil, "%s: volume %s", p.name, v.Name)
				if v.ConfigMap != nil {
					r.configMap(t, p.namespace, v.ConfigMap.Name)
				}
			}
			for _, c := range p.spec.Containers {
				requireEnv(t, r, p, c)
			}
		}
	})
}

func requireEnv(t *testing.T, r rendering, p pod, c corev1.Container) {
	t.Helper()
	for _, from := range c.EnvFrom {
		if from.SecretRef != nil {
			require.Contains(t, secrets, from.SecretRef.Name, p.name)
		} else {
			r.configMap(t, p.namespace, from.ConfigMapRef.Name)
		}
	}
	for _, v := range c.Env {
		if v.ValueFrom == nil {
			continue
		}
		if key := v.ValueFrom.SecretKeyRef; key != nil {
			require.Contains(t, secrets[key.Name], key.Key, p.name)
		} else {
			require.Contains(t, r.configMap(t, p.namespace, v.ValueFrom.ConfigMapKeyRef.Name), v.ValueFrom.ConfigMapKeyRef.Key, p.name)
		}
	}
}

func TestEveryObjectSaysWhatItIsPartOf(t *testing.T) {
	everyOverlay(t, func(t *testing.T, r rendering) {
		for _, o := range r {
			require.Equal(t, "refit", o.GetLabels()["app.kubernetes.io/part-of"], "%s %s", o.GetKind(), o.GetName())
		}
	})
}

func TestNoSecretIsWritten(t *testing.T) {
	everyOverlay(t, func(t *testing.T, r rendering) { require.Empty(t, r.of("", "Secret")) })
}

func TestEveryServiceIsProbedAndBounded(t *testing.T) {
	everyOverlay(t, func(t *testing.T, r rendering) {
		for _, p := range r.pods(t) {
			require.Equal(t, "refit", p.labels["app.kubernetes.io/part-of"], "%s: policies find it", p.name)
			for _, c := range p.spec.Containers {
				require.NotNil(t, c.ReadinessProbe, p.name)
				require.NotNil(t, c.LivenessProbe, p.name)
				for _, list := range []corev1.ResourceList{c.Resources.Requests, c.Resources.Limits} {
					require.Contains(t, list, corev1.ResourceCPU, p.name)
					require.Contains(t, list, corev1.ResourceMemory, p.name)
				}
			}
		}
	})
}

func TestEveryContainerIsConfined(t *testing.T) {
	everyOverlay(t, func(t *testing.T, r rendering) {
		confined := 0
		for _, object := range append(r, r.templates(t)...) {
			for _, spec := range podSpecs(t, object.Object) {
				require.False(t, spec.HostNetwork || spec.HostPID || spec.HostIPC, object.GetName())
				for _, c := range append(spec.InitContainers, spec.Containers...) {
					requireConfined(t, object.GetName(), spec, c)
					confined++
				}
			}
		}
		// Services, the runtime, and head and submitter of two stages.
		require.Len(t, r.pods(t), confined-1-4)
	})
}

// requireConfined looks at the container first and at its pod where it says
// nothing, as the kubelet does.
func requireConfined(t *testing.T, name string, spec corev1.PodSpec, c corev1.Container) {
	t.Helper()
	got, inherited := c.SecurityContext, spec.SecurityContext
	require.NotNil(t, got, name)
	if inherited == nil {
		inherited = &corev1.PodSecurityContext{}
	}
	user, yes, no := int64(65532), true, false
	require.Equal(t, &corev1.SecurityContext{
		RunAsNonRoot: &yes, RunAsUser: &user, RunAsGroup: &user, ReadOnlyRootFilesystem: &yes, AllowPrivilegeEscalation: &no,
		Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}, &corev1.SecurityContext{
		RunAsNonRoot: cmp.Or(got.RunAsNonRoot, inherited.RunAsNonRoot), RunAsUser: cmp.Or(got.RunAsUser, inherited.RunAsUser),
		RunAsGroup: cmp.Or(got.RunAsGroup, inherited.RunAsGroup), ReadOnlyRootFilesystem: got.ReadOnlyRootFilesystem,
		AllowPrivilegeEscalation: got.AllowPrivilegeEscalation, Privileged: got.Privileged, Capabilities: got.Capabilities,
		SeccompProfile: cmp.Or(got.SeccompProfile, inherited.SeccompProfile),
	}, "%s: %s", name, c.Name)
}

// podSpecs finds every description of a pod, however deep.
func podSpecs(t *testing.T, value any) (specs []corev1.PodSpec) {
	t.Helper()
	switch value := value.(type) {
	case []any:
		for _, item := range value {
			specs = append(specs, podSpecs(t, item)...)
		}
	case map[string]any:
		if _, ok := value["containers"]; ok {
			var spec corev1.PodSpec
			require.NoError(t, runtime.DefaultUnstructuredConverter.FromUnstructured(value, &spec))
			return []corev1.PodSpec{spec}
		}
		for _, item := range value {
			specs = append(specs, podSpecs(t, item)...)
		}
	}
	return specs
}

func TestRightsAreTheseAndNoMore(t *testing.T) {
	everyOverlay(t, func(t *testing.T, r rendering) {
		for _, kind := range []string{"ClusterRole", "ClusterRoleBinding"} {
			require.Empty(t, r.of(rbacv1.GroupName, kind))
		}
		got := map[string][]rbacv1.PolicyRule{}
		for _, object := range r.of(rbacv1.GroupName, "Role") {
			got[object.GetName()] = convert[rbacv1.Role](t, object).Rules
		}
		require.Equal(t, rights, got)
		require.Len(t, r.of(rbacv1.GroupName, "RoleBinding"), len(rights))
		for _, object := range r.of(rbacv1.GroupName, "RoleBinding") {
			binding := convert[rbacv1.RoleBinding](t, object)
			require.Equal(t, binding.Name, binding.RoleRef.Name)
			require.Equal(t, []rbacv1.Subject{{Kind: "ServiceAccount", Name: binding.Name, Namespace: "kubeflow"}}, binding.Subjects)
		}
	})
}

func TestOnlyThoseWhoAskKubernetesHaveATokenForIt(t *testing.T) {
	everyOverlay(t, func(t *testing.T, r rendering) {
		var mounting []string
		for _, object := range r.of("", "ServiceAccount") {
			account := convert[corev1.ServiceAccount](t, object)
			if *account.AutomountServiceAccountToken {
				mounting = append(mounting, account.Name)
			}
		}
		require.ElementsMatch(t, slices.Collect(maps.Keys(rights)), mounting)
		for _, p := range r.pods(t) {
			if !slices.Contains(mounting, p.spec.ServiceAccountName) {
				require.False(t, *p.spec.AutomountServiceAccountToken, p.name)
			}
		}
	})
}

// TestNetworkIsClosed holds that every pod is under a policy that denies what
// no other names, both ways, and that no policy is about nothing.
func TestNetworkIsClosed(t *testing.T) {
	everyOverlay(t, func(t *testing.T, r rendering) {
		closed := r.of("networking.k8s.io", "NetworkPolicy")
		for _, p := range r.pods(t) {
			if p.namespace != "kubeflow" {
				continue
			}
			denied := slices.ContainsFunc(closed, func(o *unstructured.Unstructured) bool {
				policy := convert[networkingv1.NetworkPolicy](t, o)
				return len(policy.Spec.PolicyTypes) == 2 && len(policy.Spec.Ingress)+len(policy.Spec.Egress) == 0 && selects(t, policy, p.labels)
			})
			require.True(t, denied, p.name)
		}
		workload := map[string]string{"app.kubernetes.io/managed-by": "refit"}
		for _, o := range closed {
			policy := convert[networkingv1.NetworkPolicy](t, o)
			about := slices.ContainsFunc(r.pods(t), func(p pod) bool { return p.namespace == policy.Namespace && selects(t, policy, p.labels) })
			require.True(t, about || selects(t, policy, workload), policy.Name)
		}
	})
}

func selects(t *testing.T, policy networkingv1.NetworkPolicy, set map[string]string) bool {
	t.Helper()
	selector, err := metav1.LabelSelectorAsSelector(&policy.Spec.PodSelector)
	require.NoError(t, err)
	return selector.Matches(labels.Set(set))
}

func TestServicesFindTheirPods(t *testing.T) {
	everyOverlay(t, func(t *testing.T, r rendering) {
		for _, object := range r.of("", "Service") {
			service := convert[corev1.Service](t, object)
			var found []string
			for _, p := range r.pods(t) {
				if p.namespace == service.Namespace && labels.SelectorFromSet(service.Spec.Selector).Matches(labels.Set(p.labels)) {
					found = append(found, p.name)
				}
			}
			require.Len(t, found, 1, service.Name)
		}
	})
}

// TestJetStreamBroker holds what the JetStream broker is known to need: its
// class; retention that keeps events; batches of one; delivery on every
// trigger, with both backoff fields, a timeout and a dead letter sink.
func TestJetStreamBroker(t *testing.T) {
	m := render(t, "jetstream").load(t)
	require.Equal(t, "NatsJetStreamBroker", m.Broker.Annotations["eventing.knative.dev/broker.class"])
	settings := m.Broker.Annotations["natsjetstream.eventing.knative.dev/config"]
	require.JSONEq(t, `{
		"stream": {"retention": "Limits", "storage": "File", "discard": "Old", "replicas": 1,
			"maxAge": "720h", "maxBytes": 1073741824, "duplicateWindow": "2m"},
		"consumer": {"deliverPolicy": "New", "replayPolicy": "Instant"},
		"filter": {"env": [{"name": "CONSUMER_FETCH_BATCH_SIZE", "value": "1"}]}
	}`, settings)
	require.Nil(t, m.Broker.Spec.Delivery, "it is ignored")
	for _, trigger := range m.Triggers {
		d := trigger.Spec.Delivery
		require.NotNil(t, d, trigger.Name)
		require.True(t, d.Retry != nil && d.BackoffPolicy != nil && d.BackoffDelay != nil && d.Timeout != nil && d.DeadLetterSink != nil, trigger.Name)
	}
	for _, overlay := range []string{"dev", "production"} {
		object := render(t, overlay).find("eventing.knative.dev", "Broker", "kubeflow", "refit")
		require.NotContains(t, object.GetAnnotations(), "eventing.knative.dev/broker.class", "the cluster's default")
	}
}

// TestMLflowIsAskedByItsNames holds that the server takes the names by which
// workloads and people who forward its port call it.
func TestMLflowIsAskedByItsNames(t *testing.T) {
	r := render(t, "dev")
	var args []string
	for _, p := range r.pods(t) {
		if p.name == "Deployment mlflow" {
			args = p.spec.Containers[0].Args
		}
	}
	i := slices.IndexFunc(args, func(arg string) bool { return strings.HasPrefix(arg, "--allowed-hosts=") })
	require.GreaterOrEqual(t, i, 0)
	hosts := strings.Split(strings.TrimPrefix(args[i], "--allowed-hosts="), ",")
	uri := strings.TrimPrefix(r.configMap(t, "kubeflow", "refit")["MLFLOW_TRACKING_URI"], "http://")
	for _, name := range []string{
		uri, "mlflow-service.mlflow.svc", "mlflow-service.mlflow.svc.cluster.local", "mlflow-service.mlflow.svc.cluster.local:5000",
		"localhost:*", "127.0.0.1:*",
	} {
		require.Contains(t, hosts, name)
	}
}
