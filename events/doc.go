// Package events is refit's vocabulary: the type of every event, what it
// carries, how its id is made, and what an S3 notification becomes.
//
// Every event is a CloudEvent 1.0. Its subject is the run's id, and the
// extensions correlationid, causationid and traceparent tie it to its run, to
// the event that caused it and to one trace. The JSON Schema of each payload
// lies in the folder schemas, which Go and Python read alike; fields that a
// schema does not name survive.
package events
