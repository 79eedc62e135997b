package events

import (
	"strings"
	"time"
)

// ClaimOfObject is the key of the claim on one version of an object. An
// identical file uploaded again has another LastModified and so is a new
// upload, which starts a new run.
func ClaimOfObject(bucket string, key string, a Artifact, lastModified time.Time) string {
	version := a.Version
	if version == "" {
		version = a.ETag + "@" + lastModified.UTC().Format(time.RFC3339)
	}
	return "claims/" + hash("object", bucket, key, version)
}

// ClaimOfRequest is the key of the claim on one injected request.
func ClaimOfRequest(source, id string) string {
	return "claims/" + hash("request", source, id)
}

// RefusalOf is where the refusal of an object is kept, beside the claim that it
// did not get.
func RefusalOf(claim string) string {
	return "refusals/" + strings.TrimPrefix(claim, "claims/")
}

// RunID is the id of a run claimed at t under the claim key: when it began, and
// enough of the claim to tell two of the same second apart.
func RunID(claim string, t time.Time) string {
	return "r-" + t.UTC().Format("20060102-150405") + "-" + claim[len("claims/"):][:8]
}
