// Package cli is the command line of refit.
//
// Data goes to standard output, remarks to standard error. What is a table on a
// terminal is tab-separated lines elsewhere, and --json gives everything as
// JSON. Exit codes are few, see [ExitError].
package cli
