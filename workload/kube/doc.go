// Package kube launches workloads as objects of a Kubernetes cluster.
//
// A [Launcher] makes each object from a template that the operator of the
// cluster owns: any RayJob or TrainJob manifest. It sets the name, the
// namespace, labels, annotations, the image, the variable REFIT_SPEC and the
// deadline; all else is the operator's. What differs between the kinds of
// objects is a [Kind], see the packages rayjob and trainjob.
//
// An object has ended when its status says so, or when it carries the
// annotation [AnnotationEnd], which [Finish] writes: see [EndOf]. An object
// that is suspended without that annotation waits, as in a queue of Kueue.
package kube
