package watch

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"refit.dev/workload"
	"refit.dev/workload/kube"
)

// record is what is kept of an object. The metadata holds its name, its UID and
// its version only.
type record struct {
	metav1.ObjectMeta

	kind string
	// end is how the workload ended if over, else how it will have ended if it
	// is deleted now.
	end  workload.End
	over bool
	// workload is false for an object with refit's label that is none.
	workload bool
	// deleted is when its deletion was asked for, zero if it was not.
	deleted time.Time
	// seen is when this version of the object came in.
	seen time.Time
	// deadline is when the workload has to be over, zero if it does not say.
	deadline time.Time
	// ttl is how long the object wants to be kept after its end, 0 if it does
	// not say, negative if not at all.
	ttl time.Duration
}

// queueLabel is the label by which Kueue takes an object over. Kueue starts
// again what somebody else suspended, so such an object goes as soon as its end
// is judged.
const queueLabel = "kueue.x-k8s.io/queue-name"

// newRecord keeps what matters of an object.
func newRecord(kinds []kube.Kind, object *unstructured.Unstructured, now time.Time) *record {
	r := &record{kind: object.GetKind(), seen: now, ObjectMeta: metav1.ObjectMeta{
		Name: object.GetName(), Namespace: object.GetNamespace(), UID: object.GetUID(), ResourceVersion: object.GetResourceVersion(),
	}}
	if at := object.GetDeletionTimestamp(); at != nil {
		r.deleted = at.Time
	}
	if at, err := time.Parse(time.RFC3339, object.GetAnnotations()[kube.AnnotationDeadline]); err == nil {
		r.deadline = at
	}
	if ttl, err := time.ParseDuration(object.GetAnnotations()[kube.AnnotationTTL]); err == nil && ttl > 0 {
		r.ttl = ttl
	}
	if _, marked := object.GetAnnotations()[kube.AnnotationEnd]; marked && object.GetLabels()[queueLabel] != "" {
		r.ttl = -1
	}
	if r.end, r.over = kube.EndOf(kinds, object); r.over {
		r.workload = true
	} else {
		r.end, r.workload = kube.Vanished(kinds, object, r.deleted)
	}
	r.workload = r.workload && r.Name == r.job().Name()
	return r
}

// ended is the end of the workload as its object tells it, if it has one: an
// object whose deletion was asked for runs nothing any more.
func (r *record) ended() (workload.End, bool) {
	return r.end, r.workload && (r.over || !r.deleted.IsZero())
}

// vanished is the end of a workload whose object is gone.
func (r *record) vanished(now time.Time) (workload.End, bool) {
	end := r.end
	if !r.over && r.deleted.IsZero() {
		end.EndedAt = now.UTC()
	}
	return end, r.workload
}

// job is the attempt that the object runs.
func (r *record) job() workload.Job {
	return workload.Job{Run: r.end.Run, Stage: r.end.Stage, Attempt: r.end.Attempt}
}
