// Package latency_test measures what a run waits for beside its work: the start
// of the platform, and the time between an upload, the stages and each other.
package latency_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/platform/host"
	"refit.dev/platform/journal"
	"refit.dev/stage/store"
	"refit.dev/test/bench/table"
	"refit.dev/test/platformtest"
	"refit.dev/workload"
)

const (
	// rounds have a figure each, of so many uploads.
	rounds  = 3
	uploads = 34
)

// BenchmarkStart measures refit up on a new folder, from the start of its binary
// until its connection file is there and the object store and the broker answer.
func BenchmarkStart(b *testing.B) {
	var seconds []float64
	for b.Loop() {
		for range 5 {
			seconds = append(seconds, up(b).Seconds())
		}
	}
	table.Add(b, table.Row{What: "refit up ready for events and S3", Unit: "s", Runs: seconds, AtMost: 2})
}

func up(b *testing.B) time.Duration {
	b.Helper()
	dir := b.TempDir()
	command := platformtest.Refit(b, dir, "up", "--quiet")
	began := time.Now()
	p := platformtest.Begin(b, command)
	defer p.Interrupt()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		require.False(b, p.Dead(), "the platform ended while it came up")
		c, err := host.ReadConnection(dir)
		if err == nil && serves(c.S3.Endpoint) && serves(c.Broker) {
			break
		}
	}
	return time.Since(began)
}

// serves tells whether an HTTP server answers at url, whatever it says.
func serves(url string) bool {
	response, err := http.Get(url)
	return err == nil && response.Body.Close() == nil
}

// BenchmarkSpecRead measures how soon a warm prepare has read and checked its
// spec.json: when the line that says so is in its log. What was uploaded is no
// parquet, so that each run ends at once.
func BenchmarkSpecRead(b *testing.B) {
	p := platform(b, func(*host.Config) {})
	warm := filepath.Join(p.Config.Dir, "workloads", "warm.log")
	require.Eventually(b, func() bool {
		said, err := os.ReadFile(warm)
		return err == nil && bytes.Contains(said, []byte(" warm: "))
	}, time.Minute, 10*time.Millisecond, "nothing is warm")
	var middle []float64
	for b.Loop() {
		for round := range rounds {
			var all []float64
			for i := range uploads / 2 {
				answered, run := p.put(b, fmt.Sprintf("spec/%d/%d.parquet", round, i), []byte("no parquet"))
				all = append(all, milliseconds(p.read(b, run).Sub(answered)))
				p.ends(b, run, events.Prepare.Failed())
			}
			middle = append(middle, quantile(all, 0.5))
		}
	}
	table.Add(b, table.Row{What: "PUT answered → prepare has read its spec.json (warm), p50", Unit: "ms", Runs: middle, AtMost: 150})
}

// site is a platform with MLflow and Ray up, a client of its store, and what its
// journal says of runs.
type site struct {
	*platformtest.Platform

	landing        *s3.Client
	started, ended chan event.Event
}

func platform(b *testing.B, change func(*host.Config)) *site {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 5*time.Minute)
	defer cancel()
	p, err := platformtest.Start(b.TempDir(), func(c *host.Config) {
		c.Logger = slog.New(slog.DiscardHandler)
		change(c)
	})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, p.Close()) })
	for tick := time.Tick(100 * time.Millisecond); !serves(p.Connection().MLflow) || !serves(p.Connection().Ray.URL); {
		select {
		case <-tick:
		case <-ctx.Done():
			require.FailNow(b, "MLflow and Ray do not answer")
		}
	}
	c := p.Connection().S3
	client := store.S3Config{Endpoint: c.Endpoint, Region: c.Region, AccessKey: c.AccessKey, SecretKey: c.SecretKey}.Client()
	s := &site{Platform: p, landing: client, started: make(chan event.Event, 1), ended: make(chan event.Event, 1)}
	s.follow(b)
	return s
}

// follow hands on the events by which runs start and end: to ask the journal
// for each would read all of it while a run is being measured.
func (s *site) follow(b *testing.B) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	over := make(chan error, 1)
	go func() {
		over <- s.Journal.Follow(ctx, journal.Filter{}, func(e event.Event) error {
			switch {
			case e.Type() == string(events.RunStarted):
				s.started <- e
			case events.Type(e.Type()).Terminal():
				s.ended <- e
			}
			return nil
		})
	}()
	b.Cleanup(func() {
		cancel()
		require.ErrorIs(b, <-over, context.Canceled)
	})
}

// ends waits until the run ends with an event of that type.
func (s *site) ends(b *testing.B, run string, how events.Type) {
	b.Helper()
	e := s.next(b, s.ended)
	require.Equal(b, run, e.Subject())
	require.Equal(b, string(how), e.Type(), string(e.Data()))
}

func (s *site) next(b *testing.B, list <-chan event.Event) event.Event {
	b.Helper()
	select {
	case e := <-list:
		return e
	case <-time.After(time.Minute):
		require.FailNow(b, "a run does not go on")
		return event.Event{}
	}
}

// put uploads an object and returns when that was answered, and its run.
func (s *site) put(b *testing.B, key string, body []byte) (time.Time, string) {
	b.Helper()
	_, err := s.landing.PutObject(b.Context(), &s3.PutObjectInput{Bucket: new("landing"), Key: &key, Body: bytes.NewReader(body)})
	answered := time.Now()
	require.NoError(b, err)
	return answered, s.next(b, s.started).Subject()
}

// read waits until prepare's log says that it has its spec, and returns when
// that was.
func (s *site) read(b *testing.B, run string) time.Time {
	b.Helper()
	deadline := time.Now().Add(time.Minute)
	for now := range time.Tick(time.Millisecond) {
		if strings.Contains(s.log(b, run, events.Prepare), " of run "+run) {
			return now
		}
		require.True(b, now.Before(deadline), "prepare does not read its spec")
	}
	return time.Time{}
}

// log is what a workload of a run has written so far.
func (s *site) log(b *testing.B, run string, stage events.Stage) string {
	b.Helper()
	job := workload.Job{Run: run, Stage: stage, Attempt: 1}
	text, err := os.ReadFile(filepath.Join(s.Config.Dir, "workloads", job.Name()+".log"))
	if err != nil {
		require.ErrorIs(b, err, os.ErrNotExist)
	}
	return string(text)
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1e3 }

func quantile(values []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[int(q*float64(len(sorted)-1)+0.5)]
}
