// Package host is the embedded platform behind refit up: one process with a
// NATS server, an object store, a broker, the five functions, the journal, the
// source and the launcher of processes, and beside it MLflow and Ray.
package host
