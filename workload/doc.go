// Package workload says what a stage launches and how its end is known.
//
// A stage writes a [Spec] to the object store and hands a [Job] that names it
// to a [Launcher]: a process on one machine, a RayJob or a TrainJob in a
// cluster. Nobody waits for it. When it is over, an always-on source turns its
// [End] into the event dev.refit.workload.ended, which wakes the function that
// launched it, and the function reads the [Result] that the workload wrote.
package workload
