// Command noop is the least that a workload can be: it reads its spec from the
// object store, makes nothing, and writes the result that it is given. It prints
// when it began and ended, in nanoseconds since 1970, and links no more than it
// needs: what a program loads before its main is nobody's delay but its own.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"refit.dev/stage/store"
)

func main() {
	fmt.Println("began", time.Now().UnixNano())
	err := run(context.Background(), os.Args[1], []byte(os.Args[2]))
	fmt.Println("ended", time.Now().UnixNano())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run reads the spec at uri and writes result beside it.
func run(ctx context.Context, uri string, result []byte) error {
	bucket, key, found := strings.Cut(strings.TrimPrefix(uri, "s3://"), "/")
	if !found {
		return fmt.Errorf("spec %q: accepted is s3://bucket/key", uri)
	}
	state := store.NewS3(store.S3Config{
		Endpoint: os.Getenv("AWS_ENDPOINT_URL_S3"), Region: os.Getenv("AWS_REGION"),
		AccessKey: os.Getenv("AWS_ACCESS_KEY_ID"), SecretKey: os.Getenv("AWS_SECRET_ACCESS_KEY"),
	}.Client(), bucket)
	if _, err := state.Get(ctx, key); err != nil {
		return fmt.Errorf("read spec %s: %w", uri, err)
	}
	return state.Put(ctx, strings.TrimSuffix(key, "spec.json")+"result.json", result)
}
