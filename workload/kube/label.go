package kube

import (
	"maps"
	"strconv"

	"refit.dev/workload"
)

// The labels of an object and of all its pods.
const (
	LabelManagedBy = "app.kubernetes.io/managed-by" // always [ManagedBy]
	LabelRun       = "refit.dev/run"
	LabelStage     = "refit.dev/stage"
	LabelAttempt   = "refit.dev/attempt"
	LabelWorkload  = "refit.dev/workload" // the object's name
)

// ManagedBy is the value of LabelManagedBy.
const ManagedBy = "refit"

// Selector selects the objects and pods of workloads.
const Selector = LabelManagedBy + "=" + ManagedBy + "," + LabelWorkload

// The annotations of an object.
const (
	// AnnotationSpec is the URI of spec.json.
	AnnotationSpec = "refit.dev/spec"
	// AnnotationDeadline is when the attempt has to be over, in RFC 3339.
	AnnotationDeadline = "refit.dev/deadline"
	// AnnotationEnd is how the workload ended where its status does not say so,
	// as JSON, see Finish.
	AnnotationEnd = "refit.dev/end"
	// AnnotationTTL is how long an ended object is kept, such as 30m. An operator
	// puts it into a template.
	AnnotationTTL = "refit.dev/ttl"
)

// EnvSpec is the variable that tells a workload the URI of its spec.
const EnvSpec = "REFIT_SPEC"

// labels are those of job's object and pods.
func labels(job workload.Job) map[string]string {
	return map[string]string{
		LabelManagedBy: ManagedBy, LabelRun: job.Run, LabelStage: string(job.Stage),
		LabelAttempt: strconv.Itoa(job.Attempt), LabelWorkload: job.Name(),
	}
}

// merged returns the entries of both, those of over first.
func merged(under, over map[string]string) map[string]string {
	all := maps.Clone(under)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, over)
	return all
}
