// Package rayjob runs workloads as RayJobs of KubeRay: each has a Ray cluster
// of its own, which goes when the job is over.
package rayjob
