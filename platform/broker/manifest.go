package broker

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"github.com/nats-io/nats.go/jetstream"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubeyaml "k8s.io/apimachinery/pkg/util/yaml"
	"knative.dev/eventing/pkg/apis/eventing"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/eventing/pkg/apis/feature"
	"knative.dev/pkg/apis"
	"sigs.k8s.io/yaml"
)

const (
	// defaultNamespace is the namespace of an object that names none.
	defaultNamespace = "default"
	// brokerClass is the class of a broker that names none.
	brokerClass = "NatsJetStreamBroker"
)

// Manifests are a Broker and its Triggers, defaulted and valid.
type Manifests struct {
	// Broker is the one broker.
	Broker *eventingv1.Broker
	// Triggers are its triggers, in the order of their files.
	Triggers []*eventingv1.Trigger

	stream jetstream.StreamConfig
	files  map[string]string
}

// Load reads every .yaml and .yml file of fsys, also those in folders, and
// keeps the Broker and the Triggers; objects of other kinds are passed over.
// Both may leave out their namespace, "default" then, and the Broker its class,
// as where a cluster has a default one. The error joins one line for each bad
// document, naming file and field.
func Load(fsys fs.FS) (*Manifests, error) {
	m := &Manifests{files: map[string]string{}}
	var bad []error
	err := fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if ext := path.Ext(name); entry.IsDir() || ext != ".yaml" && ext != ".yml" {
			return nil
		}
		bad = append(bad, m.readFile(fsys, name)...)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("broker: read manifests: %w", err)
	}
	if err := errors.Join(append(bad, m.check()...)...); err != nil {
		return nil, fmt.Errorf("broker: manifests: %w", err)
	}
	return m, nil
}

func (m *Manifests) readFile(fsys fs.FS, name string) (bad []error) {
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return []error{fmt.Errorf("%s: %w", name, err)}
	}
	documents := kubeyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return bad
		}
		if err != nil {
			return append(bad, fmt.Errorf("%s: %w", name, err))
		}
		if err := m.readDocument(name, document); err != nil {
			bad = append(bad, fmt.Errorf("%s: %w", name, err))
		}
	}
}

func (m *Manifests) readDocument(file string, document []byte) error {
	// The pointer stays nil for a document of remarks alone.
	var kind *metav1.TypeMeta
	if err := yaml.Unmarshal(document, &kind); err != nil {
		return err
	}
	if kind == nil {
		return nil
	}
	group := kind.GroupVersionKind().Group
	switch {
	case kind.Kind == "" || kind.APIVersion == "":
		return errors.New("apiVersion and kind: one is missing")
	case group != eventing.GroupName:
		return nil
	case kind.APIVersion != eventingv1.SchemeGroupVersion.String():
		return fmt.Errorf("apiVersion: %s is not read; accepted is %s", kind.APIVersion, eventingv1.SchemeGroupVersion)
	case kind.Kind == "Broker":
		return m.readBroker(file, document)
	case kind.Kind == "Trigger":
		return m.readTrigger(file, document)
	}
	return fmt.Errorf("kind: %s is not read; accepted are Broker and Trigger", kind.Kind)
}

func (m *Manifests) readBroker(file string, document []byte) error {
	b := &eventingv1.Broker{}
	if err := yaml.UnmarshalStrict(document, b); err != nil {
		return fmt.Errorf("Broker: %w", err)
	}
	if m.Broker != nil {
		return fmt.Errorf("Broker %s: there is a broker already, in %s; accepted is one", b.Name, m.files["Broker"])
	}
	m.Broker, m.files["Broker"] = b, file
	classify(b)
	if err := prepare(b, &b.ObjectMeta); err != nil {
		return fmt.Errorf("Broker %s: %w", b.Name, err)
	}
	if b.Spec.Delivery != nil {
		return fmt.Errorf("Broker %s: spec.delivery: not every broker class heeds it; put it on each Trigger", b.Name)
	}
	stream, err := streamConfig(b.Annotations[streamAnnotation])
	if err != nil {
		return fmt.Errorf("Broker %s: metadata.annotations[%s]: %w", b.Name, streamAnnotation, err)
	}
	m.stream = stream
	return nil
}

// classify gives a broker without a class the one that this package is like:
// Knative's webhook takes the cluster's default there.
func classify(b *eventingv1.Broker) {
	if b.Annotations[eventing.BrokerClassKey] == "" {
		metav1.SetMetaDataAnnotation(&b.ObjectMeta, eventing.BrokerClassKey, brokerClass)
	}
}

func (m *Manifests) readTrigger(file string, document []byte) error {
	t := &eventingv1.Trigger{}
	if err := yaml.UnmarshalStrict(document, t); err != nil {
		return fmt.Errorf("Trigger: %w", err)
	}
	if err := prepare(t, &t.ObjectMeta); err != nil {
		return fmt.Errorf("Trigger %s: %w", t.Name, err)
	}
	if _, err := newFilter(t); err != nil {
		return fmt.Errorf("Trigger %s: %w", t.Name, err)
	}
	if other, ok := m.files[t.Name]; ok {
		return fmt.Errorf("Trigger %s: metadata.name: %s has a trigger of that name", t.Name, other)
	}
	m.files[t.Name] = file
	m.Triggers = append(m.Triggers, t)
	return nil
}

// object is what the Broker and the Trigger have in common.
type object interface {
	apis.Defaultable
	apis.Validatable
}

// prepare does what Knative's webhook does with an object on its way into a
// cluster.
func prepare(o object, meta *metav1.ObjectMeta) error {
	if meta.Name == "" {
		return errors.New("metadata.name: it is missing")
	}
	if meta.Namespace == "" {
		meta.Namespace = defaultNamespace
	}
	ctx := feature.ToContext(context.Background(), feature.FromContextOrDefaults(context.Background()))
	ctx = apis.WithinParent(ctx, *meta)
	o.SetDefaults(ctx)
	if err := o.Validate(ctx).Filter(apis.ErrorLevel); err != nil {
		return errors.New(oneLine(err.Error()))
	}
	return nil
}

// check looks at the documents together.
func (m *Manifests) check() (bad []error) {
	if m.Broker == nil {
		return []error{fmt.Errorf("there is no Broker (apiVersion %s)", eventingv1.SchemeGroupVersion)}
	}
	for _, t := range m.Triggers {
		name := t.Spec.Broker
		if t.Spec.BrokerRef != nil {
			name = t.Spec.BrokerRef.Name
		}
		if name != m.Broker.Name || t.Namespace != m.Broker.Namespace {
			bad = append(bad, fmt.Errorf("%s: Trigger %s: spec.broker: unknown broker %s/%s; accepted is %s/%s",
				m.files[t.Name], t.Name, t.Namespace, name, m.Broker.Namespace, m.Broker.Name))
		}
	}
	return bad
}
