package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"refit.dev/events"
	"refit.dev/workload"
)

// ending is the value of AnnotationEnd.
type ending struct {
	Outcome workload.Outcome `json:"outcome"`
	Reason  string           `json:"reason"`
	Message string           `json:"message,omitempty"`
	At      time.Time        `json:"at"`
}

// EndOf tells how the workload of object ended: by its annotation, or else by
// its status. False means that it has not, or that object is no workload.
func EndOf(kinds []Kind, object *unstructured.Unstructured) (workload.End, bool) {
	kind, err := find(kinds, object.GroupVersionKind())
	if err != nil {
		return workload.End{}, false
	}
	v, ok := annotated(object)
	if !ok {
		v, ok = kind.End(object)
	}
	if !ok {
		return workload.End{}, false
	}
	return v.end(object)
}

// Vanished is the end of a workload whose object was deleted before it had one.
// False means that object, as it was last seen, had ended or is no workload.
func Vanished(kinds []Kind, object *unstructured.Unstructured, at time.Time) (workload.End, bool) {
	if _, over := EndOf(kinds, object); over {
		return workload.End{}, false
	}
	v := Verdict{
		Outcome: workload.Failed, Reason: "Deleted", EndedAt: at,
		Message: fmt.Sprintf("%s %s was deleted before its end: replay the run to do it again", object.GetKind(), object.GetName()),
	}
	return v.end(object)
}

// end words the verdict as the end of object's workload.
func (v Verdict) end(object *unstructured.Unstructured) (workload.End, bool) {
	l := object.GetLabels()
	attempt, err := strconv.Atoi(l[LabelAttempt])
	stage := events.Stage(l[LabelStage])
	if err != nil || l[LabelRun] == "" || !stage.Valid() {
		return workload.End{}, false
	}
	end := workload.End{
		Run: l[LabelRun], Stage: stage, Attempt: attempt, Workload: object.GetName(), UID: string(object.GetUID()),
		Outcome: v.Outcome, Reason: v.Reason, Message: v.Message, StartedAt: v.StartedAt.UTC(), EndedAt: v.EndedAt.UTC(),
	}
	if end.StartedAt.IsZero() {
		end.StartedAt = object.GetCreationTimestamp().UTC()
	}
	// An API server's times are whole seconds, and clocks differ.
	if end.EndedAt.Before(end.StartedAt) {
		end.EndedAt = end.StartedAt
	}
	return end, true
}

// annotated reads AnnotationEnd. A value that nobody can read is no end.
func annotated(object *unstructured.Unstructured) (Verdict, bool) {
	var e ending
	text, ok := object.GetAnnotations()[AnnotationEnd]
	if !ok || json.Unmarshal([]byte(text), &e) != nil || e.Outcome == "" {
		return Verdict{}, false
	}
	return Verdict{Outcome: e.Outcome, Reason: e.Reason, Message: e.Message, EndedAt: e.At}, true
}

// Finish ends the workload of object, which was read by way of objects: it
// writes v down as AnnotationEnd and suspends the object, which takes its pods
// away, in one patch. If the object was changed since it was read, that is
// looked at first: an ended object is left alone and returned as it is.
// workload.ErrNotFound means that it is gone.
func Finish(ctx context.Context, objects dynamic.ResourceInterface, kind Kind, object *unstructured.Unstructured, v Verdict) (*unstructured.Unstructured, error) {
	name := object.GetName()
	for {
		if _, over := EndOf([]Kind{kind}, object); over {
			return object, nil
		}
		patch, err := patchOf(object, v)
		if err != nil {
			return nil, err
		}
		done, err := objects.Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
		if err == nil {
			return done, nil
		}
		if !apierrors.IsConflict(err) {
			return nil, failed("end", name, err)
		}
		if object, err = objects.Get(ctx, name, metav1.GetOptions{}); err != nil {
			return nil, failed("end", name, err)
		}
	}
}

// patchOf holds the object's version, so that an end that came in between is
// seen instead of overwritten.
func patchOf(object *unstructured.Unstructured, v Verdict) ([]byte, error) {
	text, err := json.Marshal(ending{Outcome: v.Outcome, Reason: v.Reason, Message: v.Message, At: v.EndedAt.UTC()})
	if err != nil {
		return nil, fmt.Errorf("encode the end of %s: %w", object.GetName(), err)
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{
			"uid": object.GetUID(), "resourceVersion": object.GetResourceVersion(),
			"annotations": map[string]string{AnnotationEnd: string(text)},
		},
		"spec": map[string]any{"suspend": true},
	})
	if err != nil {
		return nil, fmt.Errorf("encode the end of %s: %w", object.GetName(), err)
	}
	return patch, nil
}

// failed words an error of the API server; what is not there is ErrNotFound.
func failed(what, name string, err error) error {
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("%s %q: %w", what, name, workload.ErrNotFound)
	}
	return fmt.Errorf("%s %s: %w", what, name, err)
}
