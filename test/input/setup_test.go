package input_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"refit.dev/cli"
	"refit.dev/events"
	"refit.dev/platform/host"
	"refit.dev/platform/journal"
	"refit.dev/stage/store"
	"refit.dev/test/platformtest"
	"refit.dev/workload"
	"refit.dev/workload/process"
)

// shared is the platform of all tests.
var shared *platformtest.Platform

// gate is a file that workloads wait for, if it is set.
var gate atomic.Pointer[string]

// TestMain runs the real prepare; the stages after it fail at once, since no
// test looks at them.
func TestMain(m *testing.M) {
	platformtest.Main(m, &shared, func(c *host.Config) {
		prepare := process.Python(python(), map[events.Stage]string{events.Prepare: "refit_data_prep.prepare"})
		c.Sweep = 2 * time.Second
		c.Command = func(job workload.Job) ([]string, error) {
			if job.Stage != events.Prepare {
				return []string{"/bin/sh", "-c", "exit 3"}, nil
			}
			command, err := prepare(job)
			if file := gate.Load(); file != nil {
				command = append([]string{"/bin/sh", "-c", `until [ -e "$0" ]; do sleep 0.05; done; exec "$@"`, *file}, command...)
			}
			return command, err
		}
	})
}

func python() string { return filepath.Join(platformtest.Root(), ".venv/bin/python") }

// files is the folder with what files.py writes.
var files = sync.OnceValues(func() (string, error) {
	folder := filepath.Join(shared.Config.Dir, "files")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	root := platformtest.Root()
	command := exec.CommandContext(context.Background(), python(), filepath.Join(root, "test/input/files.py"), filepath.Join(root, "datasets/processed/emails/all_emails.parquet"), folder)
	command.Stderr = os.Stderr
	return folder, command.Run()
})

// file is the path of one of those files.
func file(t *testing.T, name string) string {
	t.Helper()
	folder, err := files()
	require.NoError(t, err)
	return filepath.Join(folder, name+".parquet")
}

// put writes an object as any client of S3 would, and once only.
func put(t *testing.T, key string, body []byte) error {
	t.Helper()
	c := shared.Connection().S3
	client := store.S3Config{Endpoint: c.Endpoint, Region: c.Region, AccessKey: c.AccessKey, SecretKey: c.SecretKey}.Client()
	_, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &c.Landing, Key: &key, Body: bytes.NewReader(body)}, func(o *s3.Options) { o.RetryMaxAttempts = 1 })
	return err
}

// remove deletes an object of the landing bucket.
func remove(t *testing.T, key string) {
	t.Helper()
	c := shared.Connection().S3
	client := store.S3Config{Endpoint: c.Endpoint, Region: c.Region, AccessKey: c.AccessKey, SecretKey: c.SecretKey}.Client()
	_, err := client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &c.Landing, Key: &key})
	require.NoError(t, err)
}

// refit runs a command line on the shared platform.
func refit(t *testing.T, args ...string) (code int, out, said string) {
	t.Helper()
	return refitOn(t, shared.Config.Dir, args...)
}

func refitOn(t *testing.T, dir string, args ...string) (code int, out, said string) {
	t.Helper()
	var data, remarks bytes.Buffer
	app := cli.App{Out: &data, Err: &remarks, Location: time.UTC, Start: func(ctx context.Context, c host.Config) (cli.Running, error) {
		h, err := host.Start(ctx, c)
		if err != nil {
			return nil, err
		}
		return h, nil
	}}
	code = cli.Execute(t.Context(), app, append(args, "--dir", dir))
	return code, data.String(), remarks.String()
}

// refused is the verdict on the event with that id, which must be a refusal.
func refused(t *testing.T, id string) events.Landing {
	t.Helper()
	e := shared.CausedBy(t, id)
	require.Equal(t, string(events.LandingRefused), e.Type(), string(e.Data()))
	return landing(t, e)
}

func landing(t *testing.T, e event.Event) events.Landing {
	t.Helper()
	var l events.Landing
	require.NoError(t, e.DataAs(&l))
	return l
}

// prepared waits until a run has passed prepare.
func prepared(t *testing.T, run string) events.Completed {
	t.Helper()
	e := shared.Until(t, journal.Filter{Run: run}, func(e event.Event) bool {
		return e.Type() == string(events.Prepare.Completed()) || e.Type() == string(events.Prepare.Failed())
	})
	require.Equal(t, string(events.Prepare.Completed()), e.Type(), string(e.Data()))
	var done events.Completed
	require.NoError(t, e.DataAs(&done))
	return done
}

// stillWorks uploads good mail, and looks at what else has begun meanwhile: a
// run for each of keys and for nothing else.
func stillWorks(t *testing.T, before int, keys ...string) {
	t.Helper()
	key := uuid.NewString() + ".parquet"
	announced := shared.Upload(t, key, file(t, "good"), nil)
	done := prepared(t, shared.Started(t, announced.ID()))
	require.EqualValues(t, 200, done.Figures["rows"])
	var begun []string
	for _, run := range runs(t)[before:] {
		begun = append(begun, strings.TrimPrefix(run.Data.URI, "s3://landing/"))
	}
	require.ElementsMatch(t, append(keys, key), begun)
}

// runs are all runs that began, in their order. A run is announced again when
// the sweep does not see its first stage begin.
func runs(t *testing.T) []events.Run {
	t.Helper()
	list, err := shared.Journal.Events(t.Context(), journal.Filter{Types: []string{string(events.RunStarted)}})
	require.NoError(t, err)
	var all []events.Run
	for _, e := range list {
		var run events.Run
		require.NoError(t, e.DataAs(&run))
		if !slices.ContainsFunc(all, func(r events.Run) bool { return r.ID == run.ID }) {
			all = append(all, run)
		}
	}
	return all
}
