// Package guard holds the guard rails of the repository: quick tests, without
// network, of rules that no compiler checks. It holds tests only.
package guard
