package watch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"refit.dev/workload"
)

// accountTime bounds the search for a reason and a log: whatever comes of it,
// the end is told.
const accountTime = 30 * time.Second

// account makes the whole story of an end: the reason from the pods, the log
// and its last lines.
func (w *Watcher) account(ctx context.Context, r *record, end workload.End) workload.End {
	ctx, cancel := context.WithTimeout(ctx, accountTime)
	defer cancel()
	var saved savedLog
	var asking sync.WaitGroup
	asking.Go(func() { saved.Object, saved.err = w.c.State.Get(ctx, logKey(r.job())) })
	pods, err := w.pods(ctx, r.Name)
	asking.Wait()
	if err != nil {
		w.c.Logger.WarnContext(ctx, "the reason of an end cannot be looked for", "workload", r.Name, "error", err)
	}
	if end = explain(end, pods, w.troubleOf(r.Name)); vague(end) {
		end.Message += quoted(w.warning(ctx, r.Name))
	}
	uri, text, err := w.keepLog(ctx, logKey(r.job()), pods, saved, w.lastHeard(r.UID))
	switch {
	case err == nil:
		end.Log = uri
	case !errors.Is(err, errNoLog) || vague(end):
		end.Message += quoted(fmt.Sprintf("there is no log: %v", err))
	}
	if lines := tail(text); lines != "" && end.Outcome != workload.Succeeded {
		end.Message += "\n" + lines
	}
	end.Message = strings.TrimLeft(end.Message, "; \n")
	return end
}

// vague tells whether the reason leaves a person asking why.
func vague(end workload.End) bool {
	telling := []string{ImagePull, ContainerConfig, Unschedulable, OutOfMemory, ExitStatus, HeadLost, "Deleted"}
	return (end.Outcome == workload.Failed || end.Outcome == workload.Deadline) && !slices.Contains(telling, end.Reason)
}

// warning is what the cluster last complained about in the objects of a
// workload, whose names all begin with its own; empty if there is nothing.
func (w *Watcher) warning(ctx context.Context, name string) string {
	list, err := w.c.Client.Resource(corev1.SchemeGroupVersion.WithResource("events")).Namespace(w.c.Namespace).
		List(ctx, metav1.ListOptions{FieldSelector: "type=" + corev1.EventTypeWarning, Limit: 500})
	if err != nil {
		w.c.Logger.WarnContext(ctx, "events cannot be read", "workload", name, "error", err)
		return ""
	}
	var latest corev1.Event
	for _, object := range list.Items {
		var e corev1.Event
		err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &e)
		about := e.InvolvedObject.Name
		if err == nil && (about == name || strings.HasPrefix(about, name+"-")) && !seen(e).Before(seen(latest)) {
			latest = e
		}
	}
	if latest.Reason == "" {
		return ""
	}
	return fmt.Sprintf("the cluster's last warning was about %s %s (%s): %s",
		strings.ToLower(latest.InvolvedObject.Kind), latest.InvolvedObject.Name, latest.Reason, latest.Message)
}

// seen is when an event happened last.
func seen(e corev1.Event) time.Time {
	if !e.LastTimestamp.IsZero() {
		return e.LastTimestamp.Time
	}
	if !e.EventTime.IsZero() {
		return e.EventTime.Time
	}
	return e.CreationTimestamp.Time
}
