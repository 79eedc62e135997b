// Package journal keeps a record of every event in a JetStream stream and reads
// it back.
//
// The stream is the same on a laptop and in a cluster, whatever broker stands
// before it: a trigger without a filter hands each event to [Journal.Handler],
// which answers once the event is stored. Nothing is decided from the journal;
// the object store holds every decision. It is what people look at: [Fold]
// turns events into the state of each run.
package journal
