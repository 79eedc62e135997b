// Command noop is the least that a workload can be: it reads its spec from the
// object store, makes nothing, and writes the result that its stage's function
// accepts. It prints when it began and ended, in nanoseconds since 1970.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"refit.dev/events"
	"refit.dev/stage/store"
	"refit.dev/test/clustertest/canned"
	"refit.dev/workload"
)

func main() {
	began := time.Now()
	fmt.Println("began", began.UnixNano())
	err := run(context.Background(), os.Args[1], began)
	fmt.Println("ended", time.Now().UnixNano())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, uri string, began time.Time) error {
	bucket, key, found := strings.Cut(strings.TrimPrefix(uri, "s3://"), "/")
	if !found {
		return fmt.Errorf("spec %q: accepted is s3://bucket/key", uri)
	}
	state := store.NewS3(store.S3Config{
		Endpoint: os.Getenv("AWS_ENDPOINT_URL_S3"), Region: os.Getenv("AWS_REGION"),
		AccessKey: os.Getenv("AWS_ACCESS_KEY_ID"), SecretKey: os.Getenv("AWS_SECRET_ACCESS_KEY"),
	}.Client(), bucket)
	o, err := state.Get(ctx, key)
	if err != nil {
		return fmt.Errorf("read spec %s: %w", uri, err)
	}
	var s workload.Spec
	if err := json.Unmarshal(o.Body, &s); err != nil {
		return fmt.Errorf("read spec %s: %w", uri, err)
	}
	body, err := json.Marshal(result(s, began))
	if err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	return state.Put(ctx, strings.TrimSuffix(key, "spec.json")+"result.json", body)
}

// result names the artifacts that the function asks for; nobody reads them.
func result(s workload.Spec, began time.Time) workload.Result {
	r := workload.Result{
		Run: s.Run, Stage: s.Stage, Attempt: s.Attempt, Outcome: workload.Succeeded,
		Figures: canned.Figures(s.Stage, s.Parameters), Artifacts: events.Artifacts{},
		StartedAt: began.UTC(), EndedAt: time.Now().UTC(),
	}
	for _, name := range canned.Artifacts(s.Stage) {
		r.Artifacts[name] = canned.Artifact(s.Output+name, nil)
	}
	return r
}
