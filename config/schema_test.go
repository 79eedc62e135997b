package config_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
	"k8s.io/kube-openapi/pkg/validation/validate"
	"sigs.k8s.io/yaml"
)

// definitions are the modules that carry the kinds of the operators, at the
// versions that are installed where refit is tested.
var definitions = map[string]string{
	"knative.dev/eventing@v0.50.0":                       "config/core/resources/*.yaml",
	"knative.dev/serving@v0.50.0":                        "config/core/300-resources/service.yaml",
	"github.com/ray-project/kuberay/ray-operator@v1.6.0": "config/crd/bases/ray.io_rayjobs.yaml",
	"github.com/kubeflow/trainer/v2@v2.2.0":              "manifests/base/crds/*.yaml",
}

// kinds of Kubernetes itself, read strictly into its own types.
var kinds = map[string]func(*testing.T, *unstructured.Unstructured){
	"v1/ConfigMap":                             check[corev1.ConfigMap],
	"v1/Namespace":                             check[corev1.Namespace],
	"v1/Service":                               check[corev1.Service],
	"v1/ServiceAccount":                        check[corev1.ServiceAccount],
	"apps/v1/Deployment":                       check[appsv1.Deployment],
	"networking.k8s.io/v1/NetworkPolicy":       check[networkingv1.NetworkPolicy],
	"rbac.authorization.k8s.io/v1/Role":        check[rbacv1.Role],
	"rbac.authorization.k8s.io/v1/RoleBinding": check[rbacv1.RoleBinding],
}

func check[T any](t *testing.T, object *unstructured.Unstructured) { t.Helper(); convert[T](t, object) }

func TestEveryDocumentFitsItsSchema(t *testing.T) {
	schemas := loadSchemas(t)
	for _, overlay := range overlays {
		r := render(t, overlay)
		for _, object := range append(r, r.templates(t)...) {
			requireValid(t, schemas, object)
		}
	}
}

func TestSchemasRefuse(t *testing.T) {
	schemas := loadSchemas(t)
	tests := map[string]struct{ document, want string }{
		"an unknown field": {"apiVersion: ray.io/v1\nkind: RayJob\nmetadata: {name: a}\nspec: {entrypont: x}", "spec.entrypont"},
		"a wrong type":     {"apiVersion: ray.io/v1\nkind: RayJob\nmetadata: {name: a}\nspec: {backoffLimit: many}", "spec.backoffLimit"},
		"a missing field":  {"apiVersion: trainer.kubeflow.org/v1alpha1\nkind: TrainJob\nmetadata: {name: a}\nspec: {}", "spec.runtimeRef"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			object := document(t, []byte(test.document))
			require.Contains(t, strings.Join(faults(schemas[object.GroupVersionKind()], object), "\n"), test.want)
		})
	}
}

// templates are the workloads that functions make objects of.
func (r rendering) templates(t *testing.T) (objects rendering) {
	t.Helper()
	for _, object := range r.of("", "ConfigMap") {
		if object.GetName() != "refit-workloads" {
			continue
		}
		for _, text := range convert[corev1.ConfigMap](t, object).Data {
			objects = append(objects, document(t, []byte(text)))
		}
	}
	require.Len(t, objects, len(stages))
	return objects
}

func requireValid(t *testing.T, schemas map[schema.GroupVersionKind]*spec.Schema, object *unstructured.Unstructured) {
	t.Helper()
	gvk := object.GroupVersionKind()
	name := gvk.GroupVersion().String() + "/" + gvk.Kind
	if read, ok := kinds[name]; ok {
		read(t, object)
		return
	}
	require.Contains(t, schemas, gvk, "%s: no schema is known", object.GetName())
	require.Empty(t, faults(schemas[gvk], object), "%s %s", name, object.GetName())
}

// faults are what the schema of a kind has against an object, and the fields
// that it does not know.
func faults(s *spec.Schema, object *unstructured.Unstructured) (found []string) {
	found = unknown(s, object.Object, "")
	for _, err := range validate.NewSchemaValidator(s, nil, "", strfmt.Default).Validate(object.Object).Errors {
		found = append(found, err.Error())
	}
	return found
}

// unknown are the paths of the fields that an API server would drop. It reads
// the metadata of the object itself by a schema of its own.
func unknown(s *spec.Schema, value any, path string) (paths []string) {
	if s == nil || path == "metadata" {
		return nil
	}
	if preserve, _ := s.Extensions.GetBool("x-kubernetes-preserve-unknown-fields"); preserve {
		return nil
	}
	switch value := value.(type) {
	case []any:
		for _, item := range value {
			paths = append(paths, unknown(s.Items.Schema, item, path+"[]")...)
		}
	case map[string]any:
		for key, item := range value {
			paths = append(paths, unknownField(s, key, item, strings.TrimPrefix(path+"."+key, "."))...)
		}
	}
	return paths
}

func unknownField(s *spec.Schema, key string, value any, path string) []string {
	if property, ok := s.Properties[key]; ok {
		return unknown(&property, value, path)
	}
	if s.AdditionalProperties != nil {
		return unknown(s.AdditionalProperties.Schema, value, path)
	}
	if path == "apiVersion" || path == "kind" || path == "metadata" {
		return nil // a definition need not name them
	}
	return []string{path}
}

// loadSchemas reads the definitions out of the operators' own modules.
func loadSchemas(t *testing.T) map[schema.GroupVersionKind]*spec.Schema {
	t.Helper()
	schemas := map[schema.GroupVersionKind]*spec.Schema{}
	for module, pattern := range definitions {
		files, err := filepath.Glob(filepath.Join(moduleDir(t, module), pattern))
		require.NoError(t, err)
		require.NotEmpty(t, files, module)
		for _, file := range files {
			readDefinition(t, schemas, file)
		}
	}
	return schemas
}

// definition is the part of a CustomResourceDefinition that matters here.
type definition struct {
	Kind string `json:"kind"`
	Spec struct {
		Group string `json:"group"`
		Names struct {
			Kind string `json:"kind"`
		} `json:"names"`
		Versions []struct {
			Name   string `json:"name"`
			Served bool   `json:"served"`
			Schema struct {
				OpenAPI *spec.Schema `json:"openAPIV3Schema"`
			} `json:"schema"`
		} `json:"versions"`
	} `json:"spec"`
}

func readDefinition(t *testing.T, schemas map[schema.GroupVersionKind]*spec.Schema, file string) {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	var d definition
	require.NoError(t, yaml.Unmarshal(data, &d), file)
	for _, version := range d.Spec.Versions {
		if d.Kind == "CustomResourceDefinition" && version.Served {
			schemas[schema.GroupVersionKind{Group: d.Spec.Group, Version: version.Name, Kind: d.Spec.Names.Kind}] = version.Schema.OpenAPI
		}
	}
}

// moduleDir is where the Go command keeps a module.
func moduleDir(t *testing.T, module string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", module)
	out, err := command.Output()
	require.NoError(t, err, "go mod download %s: %s", module, out)
	var m struct{ Dir string }
	require.NoError(t, json.Unmarshal(out, &m))
	return m.Dir
}
