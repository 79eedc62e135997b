package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"refit.dev/events"
	"refit.dev/stage/store"
	"refit.dev/test/clustertest/canned"
	"refit.dev/workload"
)

// gateEvery is how often a workload looks whether its gate is open.
const gateEvery = 200 * time.Millisecond

// run does what the spec's run asks for and, if that ends well, writes the
// stage's result.
func run(ctx context.Context, log io.Writer) error {
	began := time.Now().UTC()
	s, err := readSpec(ctx, os.Getenv("REFIT_SPEC"))
	if err != nil {
		return err
	}
	fmt.Fprintf(log, "attempt %d at %s of run %s\n", s.Attempt, s.Stage, s.Run)
	switch word := behaviourOf(s.Spec); word {
	case "gate":
		if err := s.waitForGate(ctx, log); err != nil {
			return err
		}
	case "fail", "hang":
		return behave(ctx, word, log)
	}
	return s.write(ctx, began)
}

// behaviourOf reads the behaviour out of the run's model_name, "<word>" for all
// stages or "<word>.<stage>" for one: fail, hang, or gate, which waits for the
// object that gateKey names. All other stages and names succeed.
func behaviourOf(s workload.Spec) string {
	word, only, limited := strings.Cut(s.Parameters.ModelName, ".")
	if limited && only != string(s.Stage) {
		return "succeed"
	}
	return word
}

// gateKey is the object in the state bucket that lets a waiting workload go on.
func gateKey(s workload.Spec) string { return "gates/" + s.Run + "/" + string(s.Stage) }

// spec is a spec and the bucket that it came from.
type spec struct {
	workload.Spec

	state store.Bucket
	key   string // of spec.json
}

func readSpec(ctx context.Context, uri string) (spec, error) {
	bucket, key, found := strings.Cut(strings.TrimPrefix(uri, "s3://"), "/")
	if !found {
		return spec{}, fmt.Errorf("REFIT_SPEC=%q: accepted is s3://bucket/key", uri)
	}
	s := spec{key: key, state: store.NewS3(store.S3Config{
		Endpoint: os.Getenv("AWS_ENDPOINT_URL_S3"), Region: os.Getenv("AWS_REGION"),
		AccessKey: os.Getenv("AWS_ACCESS_KEY_ID"), SecretKey: os.Getenv("AWS_SECRET_ACCESS_KEY"),
	}.Client(), bucket)}
	o, err := s.state.Get(ctx, key)
	if err != nil {
		return s, fmt.Errorf("read spec %s: %w", uri, err)
	}
	if err := json.Unmarshal(o.Body, &s.Spec); err != nil {
		return s, fmt.Errorf("read spec %s: %w", uri, err)
	}
	return s, nil
}

func (s spec) waitForGate(ctx context.Context, log io.Writer) error {
	fmt.Fprintln(log, "waiting for", gateKey(s.Spec))
	ticker := time.NewTicker(gateEvery)
	defer ticker.Stop()
	for {
		_, err := s.state.Head(ctx, gateKey(s.Spec))
		if err == nil || !errors.Is(err, store.ErrNotFound) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", gateKey(s.Spec), ctx.Err())
		case <-ticker.C:
		}
	}
}

// write keeps the artifacts and, last, the result of the attempt.
func (s spec) write(ctx context.Context, began time.Time) error {
	folder := strings.TrimSuffix(s.key, "spec.json")
	result := workload.Result{
		Run: s.Run, Stage: s.Stage, Attempt: s.Attempt, Outcome: workload.Succeeded,
		Figures: canned.Figures(s.Stage, s.Parameters), Artifacts: events.Artifacts{}, StartedAt: began,
	}
	for _, name := range canned.Artifacts(s.Stage) {
		body := []byte(name + " of " + s.Run)
		if err := s.state.Put(ctx, folder+name, body); err != nil {
			return fmt.Errorf("write artifact: %w", err)
		}
		result.Artifacts[name] = canned.Artifact(s.Output+name, body)
	}
	result.EndedAt = time.Now().UTC()
	body, err := json.Marshal(result)
	if err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	return s.state.Put(ctx, folder+"result.json", body)
}
