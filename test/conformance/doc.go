// Package conformance runs the conformance suites of refit's interfaces against
// what one machine embeds, where the suite and the backend are of different
// modules. It holds tests only.
package conformance
