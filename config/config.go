// Package config carries the Broker and the Triggers of refit in the binary, so
// that one machine runs by the very files that a cluster is given. The rest of
// what a cluster is given lies beside them, in base and overlays.
package config

import "embed"

// Files holds, under base, the Broker and the folder of its Triggers.
//
//go:embed base/broker.yaml base/triggers
var Files embed.FS
