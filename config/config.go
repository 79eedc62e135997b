// Package config carries the Knative manifests of refit in the binary, so that
// one machine runs by the very files that a cluster is given.
package config

import "embed"

// Files holds the folder base: the Broker, its Triggers and a kustomization
// that lists them.
//
//go:embed base
var Files embed.FS
