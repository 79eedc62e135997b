package config_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// overlays are what an operator may apply.
var overlays = []string{"dev", "production", "jetstream"}

// rendering is what an overlay turns into.
type rendering []*unstructured.Unstructured

// render builds an overlay as kubectl kustomize does.
func render(t *testing.T, overlay string) rendering {
	t.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), "overlays/"+overlay)
	require.NoError(t, err, overlay)
	var r rendering
	for _, resource := range built.Resources() {
		content, err := resource.Map()
		require.NoError(t, err)
		// Numbers become those of JSON, as an API server reads them.
		object := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(jsonNumbers(t, content))}
		r = append(r, object)
	}
	require.NotEmpty(t, r)
	return r
}

func jsonNumbers(t *testing.T, content map[string]any) map[string]any {
	t.Helper()
	data, err := yaml.Marshal(content)
	require.NoError(t, err)
	return document(t, data).Object
}

// document reads one object.
func document(t *testing.T, data []byte) *unstructured.Unstructured {
	t.Helper()
	j, err := yaml.YAMLToJSONStrict(data)
	require.NoError(t, err)
	object := &unstructured.Unstructured{}
	require.NoError(t, object.UnmarshalJSON(j), string(data))
	return object
}

// yaml is the rendering as one file.
func (r rendering) yaml(t *testing.T) []byte {
	t.Helper()
	var all []byte
	for _, object := range r {
		data, err := yaml.Marshal(object.Object)
		require.NoError(t, err)
		all = append(append(all, "---\n"...), data...)
	}
	return all
}

// of answers the objects of a group and kind.
func (r rendering) of(group, kind string) (objects rendering) {
	for _, object := range r {
		gvk := object.GroupVersionKind()
		if gvk.Group == group && gvk.Kind == kind {
			objects = append(objects, object)
		}
	}
	return objects
}

// find answers the one object of that group, kind, namespace and name.
func (r rendering) find(group, kind, namespace, name string) *unstructured.Unstructured {
	objects := r.of(group, kind)
	i := slices.IndexFunc(objects, func(o *unstructured.Unstructured) bool {
		return o.GetName() == name && o.GetNamespace() == namespace
	})
	if i < 0 {
		return nil
	}
	return objects[i]
}

// pod is the template of a pod, and where it stands.
type pod struct {
	name, namespace string
	labels          map[string]string
	spec            corev1.PodSpec
}

// revisionFields are what Knative's template has beside those of a pod.
var revisionFields = []string{"containerConcurrency", "timeoutSeconds", "responseStartTimeoutSeconds"}

// pods reads every pod template, strictly: the schemas of Knative let fields
// pass that they do not know.
func (r rendering) pods(t *testing.T) (pods []pod) {
	t.Helper()
	for _, object := range r {
		template, ok, err := unstructured.NestedMap(object.Object, "spec", "template")
		require.NoError(t, err)
		if !ok || object.GetKind() == "TrainingRuntime" {
			continue
		}
		spec, _, err := unstructured.NestedMap(template, "spec")
		require.NoError(t, err)
		for _, field := range revisionFields {
			delete(spec, field)
		}
		labels, _, err := unstructured.NestedStringMap(template, "metadata", "labels")
		require.NoError(t, err)
		p := pod{name: object.GetKind() + " " + object.GetName(), namespace: object.GetNamespace(), labels: labels}
		require.NoError(t, runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(spec, &p.spec, true), p.name)
		pods = append(pods, p)
	}
	require.NotEmpty(t, pods)
	return pods
}

// convert reads an object as a type of Kubernetes, strictly.
func convert[T any](t *testing.T, object *unstructured.Unstructured) T {
	t.Helper()
	var typed T
	err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, &typed, true)
	require.NoError(t, err, "%s %s", object.GetKind(), object.GetName())
	return typed
}
