package config_test

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	duckv1 "knative.dev/pkg/apis/duck/v1"
	"sigs.k8s.io/yaml"

	"refit.dev/config"
	"refit.dev/events"
	"refit.dev/platform/broker"
)

// declared are the event types that lead to a function, and the two prefixes
// of object stores. Every one needs a trigger, and no trigger names another.
var declared = []string{
	events.ObjectCreatedPrefix,
	events.CephObjectCreatedPrefix,
	string(events.RunRequested),
	string(events.RunStarted),
	string(events.WorkloadEnded),
	string(events.Prepare.Completed()),
	string(events.Features.Completed()),
	string(events.Train.Completed()),
	string(events.Tune.Completed()),
}

// stages have a function each.
var stages = []string{"prepare", "features", "train", "tune", "register"}

// services are the names that a subscriber or a dead letter sink may have.
var services = append([]string{"journal"}, stages...)

func load(t *testing.T) (fs.FS, *broker.Manifests) {
	t.Helper()
	base, err := fs.Sub(config.Files, "base")
	require.NoError(t, err)
	m, err := broker.Load(base)
	require.NoError(t, err)
	return base, m
}

func TestEveryTriggerHasItsFile(t *testing.T) {
	base, m := load(t)
	files, err := fs.Glob(base, "triggers/*.yaml")
	require.NoError(t, err)
	require.Len(t, files, len(m.Triggers), "one trigger a file")
	for _, trigger := range m.Triggers {
		require.Contains(t, files, "triggers/"+trigger.Name+".yaml")
		require.Regexp(t, `^[a-z-]+-to-`+trigger.Spec.Subscriber.Ref.Name+`$`, trigger.Name, "event-to-function")
	}
}

func TestKustomizationsListEveryManifest(t *testing.T) {
	for _, folder := range []string{"base", "overlays/dev/kubeflow", "overlays/dev/mlflow", "overlays/production", "overlays/jetstream", "images"} {
		data, err := os.ReadFile(filepath.Join(folder, "kustomization.yaml"))
		require.NoError(t, err)
		var k struct {
			Resources []string `json:"resources"`
			Patches   []struct {
				Path string `json:"path"`
			} `json:"patches"`
		}
		require.NoError(t, yaml.Unmarshal(data, &k))
		listed := slices.DeleteFunc(k.Resources, func(name string) bool { return path.Ext(name) == "" })
		for _, patch := range k.Patches {
			listed = append(listed, patch.Path)
		}
		require.ElementsMatch(t, manifests(t, folder), listed, folder)
	}
}

// manifests are the YAML files of a folder, one resource each.
func manifests(t *testing.T, folder string) (files []string) {
	t.Helper()
	fsys := os.DirFS(folder)
	require.NoError(t, fs.WalkDir(fsys, ".", func(name string, _ fs.DirEntry, err error) error {
		if path.Ext(name) == ".yaml" && name != "kustomization.yaml" {
			files = append(files, name)
		}
		return err
	}))
	for _, name := range files {
		data, err := fs.ReadFile(fsys, name)
		require.NoError(t, err)
		require.NotContains(t, string(data), "\n---", "%s/%s: one resource a file", folder, name)
		require.False(t, folder == "base" && strings.Contains(string(data), "\n  namespace:"), "base/%s: overlays name the namespace", name)
	}
	return files
}

func TestEveryFilterNamesADeclaredType(t *testing.T) {
	_, m := load(t)
	used := map[string]bool{}
	for _, trigger := range m.Triggers {
		for _, name := range types(trigger.Spec.Filters) {
			require.Contains(t, declared, name, trigger.Name)
			used[name] = true
		}
	}
	for _, name := range declared {
		require.True(t, used[name], "%s has a trigger", name)
	}
}

func TestEverySubscriberIsAService(t *testing.T) {
	_, m := load(t)
	for _, trigger := range m.Triggers {
		requireService(t, trigger.Name, trigger.Spec.Subscriber)
		requireService(t, trigger.Name, *trigger.Spec.Delivery.DeadLetterSink)
	}
}

func TestEveryTriggerHasFullDelivery(t *testing.T) {
	_, m := load(t)
	for _, trigger := range m.Triggers {
		d := trigger.Spec.Delivery
		require.NotNil(t, d, trigger.Name)
		require.EqualValues(t, 10, *d.Retry, trigger.Name)
		require.EqualValues(t, "exponential", *d.BackoffPolicy, trigger.Name)
		require.Equal(t, "PT0.2S", *d.BackoffDelay, trigger.Name)
		require.Equal(t, "PT25S", *d.Timeout, trigger.Name)
		require.Equal(t, "journal", d.DeadLetterSink.Ref.Name, trigger.Name)
		require.Equal(t, "/dead-letter", d.DeadLetterSink.URI.Path, trigger.Name)
	}
}

func TestOnlyTheJournalGetsEverything(t *testing.T) {
	_, m := load(t)
	for _, trigger := range m.Triggers {
		open := len(trigger.Spec.Filters) == 0
		require.Equal(t, trigger.Spec.Subscriber.Ref.Name == "journal", open, trigger.Name)
	}
}

func requireService(t *testing.T, trigger string, d duckv1.Destination) {
	t.Helper()
	require.NotNil(t, d.Ref, trigger)
	require.Equal(t, "serving.knative.dev/v1", d.Ref.APIVersion, trigger)
	require.Equal(t, "Service", d.Ref.Kind, trigger)
	require.Contains(t, services, d.Ref.Name, trigger)
}

// types answers every event type that the filters name.
func types(filters []eventingv1.SubscriptionsAPIFilter) (names []string) {
	for _, f := range filters {
		for _, attributes := range []map[string]string{f.Exact, f.Prefix, f.Suffix} {
			if name := strings.TrimSpace(attributes["type"]); name != "" {
				names = append(names, name)
			}
		}
		names = append(names, types(f.All)...)
		names = append(names, types(f.Any)...)
	}
	return names
}
