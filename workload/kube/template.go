package kube

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"

	"refit.dev/events"
	"refit.dev/workload"
)

// template is an operator's manifest, ready to be filled.
type template struct {
	kind   Kind
	object *unstructured.Unstructured
}

// parse reads the one manifest of text, of one of the kinds, and fills it once
// to see whether it can be filled.
func parse(text []byte, kinds []Kind) (template, error) {
	manifest, err := read(text)
	if err != nil {
		return template{}, err
	}
	t := template{object: &unstructured.Unstructured{Object: manifest}}
	if t.kind, err = find(kinds, t.object.GroupVersionKind()); err != nil {
		return template{}, fmt.Errorf("the template's %w", err)
	}
	_, err = t.fill(workload.Job{Run: "r", Stage: events.Prepare, Attempt: 1}, "", time.Time{})
	return t, err
}

// read decodes one YAML document. A key that stands there twice is refused.
func read(text []byte) (map[string]any, error) {
	body, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, fmt.Errorf("read the template: %w", err)
	}
	var manifest map[string]any
	// Whole numbers become int64, the only ones that an unstructured object holds.
	if err := json.Unmarshal(body, &manifest); err != nil {
		return nil, fmt.Errorf("read the template: %w", err)
	}
	if manifest == nil {
		return nil, errors.New("the template is empty: give the manifest of a workload")
	}
	return manifest, nil
}

// fill makes the object of job.
func (t template) fill(job workload.Job, namespace string, now time.Time) (*unstructured.Unstructured, error) {
	object, f := t.object.DeepCopy(), filling(job, now)
	delete(object.Object, "status")
	object.SetGenerateName("")
	object.SetName(job.Name())
	object.SetNamespace(namespace)
	object.SetLabels(merged(object.GetLabels(), f.Labels))
	object.SetAnnotations(merged(object.GetAnnotations(), map[string]string{
		AnnotationSpec: job.Spec, AnnotationDeadline: job.Deadline.UTC().Format(time.RFC3339),
	}))
	if err := t.kind.Fill(object, f); err != nil {
		return nil, fmt.Errorf("fill the template of %s: %w", named(t.kind.GroupVersionKind()), err)
	}
	return object, nil
}

func dotted(path []string) string { return strings.Join(path, ".") }
