// Package stage holds the two steps that all five functions share: launch a
// workload and go to sleep; wake at its end and say what came of it.
//
// A function adds its [Logic] and nothing else. Every decision is a
// conditional write to the object store, and every step may be repeated at any
// moment: whoever finds that a thing is done says again what was said then.
package stage
