package kube

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/json"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
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
	if err := check(manifest); err != nil {
		return template{}, fmt.Errorf("the template's %w", err)
	}
	_, err = t.fill(workload.Job{Run: "r", Stage: events.Prepare, Attempt: 1}, "", time.Time{})
	return t, err
}

// read decodes the one YAML document of text. A key that stands there twice is
// refused.
func read(text []byte) (map[string]any, error) {
	var manifests []map[string]any
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		manifest, err := decode(document, err)
		if err != nil {
			return nil, fmt.Errorf("read the template: %w", err)
		}
		if manifest != nil {
			manifests = append(manifests, manifest)
		}
	}
	if len(manifests) != 1 {
		return nil, fmt.Errorf("the template holds %d documents: accepted is one, the manifest of a workload", len(manifests))
	}
	return manifests[0], nil
}

// decode returns nil for a document of comments. Whole numbers become int64,
// the only ones that an unstructured object holds.
func decode(document []byte, err error) (map[string]any, error) {
	if err != nil {
		return nil, err
	}
	body, err := yaml.YAMLToJSONStrict(document)
	if err != nil {
		return nil, err
	}
	var manifest map[string]any
	return manifest, json.Unmarshal(body, &manifest)
}

// check refuses metadata that could only be lost.
func check(manifest map[string]any) error {
	metadata, err := Object(manifest, "metadata")
	if err != nil {
		return err
	}
	for _, name := range []string{"labels", "annotations"} {
		if _, _, err := unstructured.NestedStringMap(metadata, name); err != nil {
			return fmt.Errorf("metadata.%s: %w", name, err)
		}
	}
	return nil
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
