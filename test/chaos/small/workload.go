// Package small is a small real process as workload, for tests that kill much
// and compute nothing: it reads its spec from the object store, does what the
// upload's key says, and writes artifacts, a model in MLflow and a result that
// the stage's function accepts.
//
// The key is made of name=value parts, of which the ones that are no words here
// are passed over:
//
//	f1=0.9/work=300ms/train=hang/mail.parquet
//
// f1 is the model's F1 on the test split (0.5 by default, which is below every
// threshold and needs no MLflow), work how long each stage takes. The name of a
// stage says what becomes of that one, see [Main].
package small

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"refit.dev/events"
	"refit.dev/stage/store"
	"refit.dev/test/clustertest/canned"
	"refit.dev/workload"
)

// Args are the arguments by which a program knows that it is to be the
// workload of a job: it then calls [Main] with what follows the first. folder
// keeps what was run; the file with the platform's data folder in its name
// makes the process known as one of that platform.
func Args(folder string, job workload.Job) []string { return []string{Word, folder, job.Spec} }

// Word is the first argument of a workload.
const Word = "chaos-workload"

// attempt is one attempt at a stage.
type attempt struct {
	workload.Spec

	state  store.Bucket
	prefix string // of the attempt's objects
	folder string
	asked  map[string]string
	log    io.Writer
}

// Main runs the workload: args are a folder and the URI of the spec. What the
// key says of the stage is one of
//
//	gate    wait for the object of [Gate], then succeed
//	judged  as gate, but wait when all is done and not yet written
//	hang    wait for nothing
//	memory  take memory until the kernel ends it, in the control group whose
//	        folder the file "cgroup" of the folder names, or else by the limit
//	        that a process sets itself
//	signal  die by SIGKILL
//	half    write half a result
//	broken  write a result that breaks its schema
//	refuse  write a result that says that the input is bad
//	nothing succeed without a result
//	exit    end with status 3 and without a result
func Main(ctx context.Context, args []string, log io.Writer) error {
	began := time.Now().UTC()
	if len(args) != 2 {
		return fmt.Errorf("arguments %q: accepted are a folder and the URI of a spec", args)
	}
	a, err := read(ctx, args[0], args[1], log)
	if err != nil {
		return err
	}
	// The disk may be full just now.
	if _, err := patiently(ctx, func() (struct{}, error) { return struct{}{}, a.note() }); err != nil {
		return err
	}
	for line := 1; line <= 30; line++ {
		if _, err := fmt.Fprintf(log, "line %d of %s, attempt %d\n", line, a.Stage, a.Attempt); err != nil {
			break // the disk is full: a log is no reason to fail
		}
	}
	if err := a.pause(ctx); err != nil {
		return err
	}
	return a.behave(ctx, began)
}

// read reads the spec and what the key of the run's upload asks for.
func read(ctx context.Context, folder, uri string, log io.Writer) (*attempt, error) {
	bucket, key, found := strings.Cut(strings.TrimPrefix(uri, "s3://"), "/")
	if !found {
		return nil, fmt.Errorf("spec %q: accepted is s3://bucket/key", uri)
	}
	a := &attempt{folder: folder, prefix: strings.TrimSuffix(key, "spec.json"), asked: map[string]string{}, log: log}
	a.state = store.NewS3(store.S3Config{
		Endpoint: os.Getenv("AWS_ENDPOINT_URL_S3"), Region: os.Getenv("AWS_REGION"),
		AccessKey: os.Getenv("AWS_ACCESS_KEY_ID"), SecretKey: os.Getenv("AWS_SECRET_ACCESS_KEY"),
	}.Client(), bucket)
	o, err := patiently(ctx, func() (store.Object, error) { return a.state.Get(ctx, key) })
	if err != nil {
		return nil, fmt.Errorf("read spec %s: %w", uri, err)
	}
	if err := json.Unmarshal(o.Body, &a.Spec); err != nil {
		return nil, fmt.Errorf("read spec %s: %w", uri, err)
	}
	for part := range strings.SplitSeq(a.Data.URI, "/") {
		if name, value, found := strings.Cut(part, "="); found {
			a.asked[name] = value
		}
	}
	return a, nil
}

// Ran is the file of the folder to which each workload adds its name.
const Ran = "ran"

// note adds a line to the file of all that ran.
func (a *attempt) note() error {
	file, err := os.OpenFile(a.folder+"/"+Ran, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("note the start: %w", err)
	}
	defer file.Close() //nolint:errcheck // the write says whether it went well
	job := workload.Job{Run: a.Run, Stage: a.Stage, Attempt: a.Attempt}
	_, err = fmt.Fprintln(file, job.Name())
	return err
}

// pause takes as long as the key says.
func (a *attempt) pause(ctx context.Context) error {
	work, err := time.ParseDuration(or(a.asked["work"], "0s"))
	if err != nil {
		return fmt.Errorf("work: %w", err)
	}
	return wait(ctx, work)
}

func (a *attempt) behave(ctx context.Context, began time.Time) error {
	switch word := a.asked[string(a.Stage)]; word {
	case "hang":
		<-ctx.Done()
		return ctx.Err()
	case "gate":
		if err := a.atGate(ctx); err != nil {
			return err
		}
	case "memory":
		return a.memory()
	case "signal":
		return syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "exit":
		os.Exit(3)
	case "nothing":
		return nil
	case "half", "broken", "refuse":
		return a.spoil(ctx, word, began)
	}
	return a.succeed(ctx, began)
}

// Gate is the key in the state bucket of the object for which a workload with
// the word gate waits.
func Gate(run string, s events.Stage) string { return "gates/" + run + "/" + string(s) }

func (a *attempt) atGate(ctx context.Context) error {
	for {
		if _, err := a.state.Head(ctx, Gate(a.Run, a.Stage)); err == nil {
			return nil
		}
		if err := wait(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// f1 is what the key says, or below every threshold.
func (a *attempt) f1() (float64, error) {
	return strconv.ParseFloat(or(a.asked["f1"], strconv.FormatFloat(canned.F1, 'g', -1, 64)), 64)
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func or(value, instead string) string {
	if value == "" {
		return instead
	}
	return value
}
