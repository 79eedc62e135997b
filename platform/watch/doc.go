// Package watch sees the workloads of a Kubernetes namespace end, finds out why
// and says so.
//
// A [Watcher] lists and watches the objects that carry refit's labels, one
// informer a kind. When one ends, by its status, by its annotation or by being
// deleted, the watcher looks at its pods for the reason that helps a person,
// saves the end of its log beside its results and tells the end until the broker
// takes it: once in the life of the process, and once more after a restart for
// every ended object that is still there, since the event's id follows from the
// object. It ends workloads whose pods cannot start, and deletes ended ones when
// a function has judged them and their time is over.
//
// Of each object it keeps about a kilobyte, whatever the object's size.
package watch
