// Package service runs a server program beside this one: starts it, waits until
// it answers, starts it again when it dies, and leaves nothing of it behind.
//
// A record file keeps the identity of the process, so after a crash of this
// program the next [Start] goes on with the server if it is the same one and
// still answers, and ends it otherwise.
package service
