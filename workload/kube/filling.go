package kube

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"time"

	"refit.dev/workload"
)

// Filling is what a template gets: the part of a workload that is refit's.
type Filling struct {
	Job workload.Job
	// Labels are those of the object, for each of its pods.
	Labels map[string]string
	// Seconds are left until the job's deadline, at least 1.
	Seconds int64
}

// filling is what job's object gets, launched now.
func filling(job workload.Job, now time.Time) Filling {
	left := math.Ceil(job.Deadline.Sub(now).Seconds())
	return Filling{Job: job, Labels: labels(job), Seconds: int64(min(max(left, 1), math.MaxInt32))}
}

// Pod labels a pod template and fills its first container, the one that works;
// the others are the operator's.
func (f Filling) Pod(template map[string]any) error {
	if err := f.Label(template); err != nil {
		return err
	}
	spec, err := Object(template, "spec")
	if err != nil {
		return err
	}
	containers, _ := spec["containers"].([]any)
	if len(containers) == 0 {
		return errors.New("spec.containers is empty: give the container that works first")
	}
	first, ok := containers[0].(map[string]any)
	if !ok {
		return fmt.Errorf("spec.containers[0] is %T: accepted is an object", containers[0])
	}
	return f.Container(first)
}

// Container sets the image and the spec's URI of a container.
func (f Filling) Container(container map[string]any) error {
	container["image"] = f.Job.Image
	env, err := list(container, "env")
	if err != nil {
		return err
	}
	container["env"] = put(env, map[string]any{"name": EnvSpec, "value": f.Job.Spec})
	return nil
}

// Label adds the labels to the metadata of something that has some.
func (f Filling) Label(owner map[string]any) error {
	metadata, err := Object(owner, "metadata")
	if err != nil {
		return err
	}
	under, err := Object(metadata, "labels")
	if err != nil {
		return err
	}
	for name, value := range maps.All(f.Labels) {
		under[name] = value
	}
	return nil
}

// Object returns the object at path below owner, made where it is missing.
func Object(owner map[string]any, path ...string) (map[string]any, error) {
	for i, name := range path {
		switch below := owner[name].(type) {
		case map[string]any:
			owner = below
		case nil:
			made := map[string]any{}
			owner[name] = made
			owner = made
		default:
			return nil, fmt.Errorf("%s is %T: accepted is an object", dotted(path[:i+1]), below)
		}
	}
	return owner, nil
}

// list returns the list called name, nil if there is none.
func list(owner map[string]any, name string) ([]any, error) {
	switch found := owner[name].(type) {
	case []any:
		return found, nil
	case nil:
		return nil, nil
	default:
		return nil, fmt.Errorf("%s is %T: accepted is a list", name, found)
	}
}

// put adds entry to a list of named things, in the place of one of its name.
func put(entries []any, entry map[string]any) []any {
	for i, e := range entries {
		if old, ok := e.(map[string]any); ok && old["name"] == entry["name"] {
			entries[i] = entry
			return entries
		}
	}
	return append(entries, entry)
}
