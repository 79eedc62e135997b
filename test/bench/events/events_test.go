// Package events_test measures what the platform itself costs: how many events
// a second it carries, how soon a function has answered one, and how much
// memory it takes.
package events_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/test/bench/table"
)

const (
	runs = 3
	// rate is how many events a second must pass, and steady for how long.
	rate   = 5000
	steady = 10 * time.Second
	// flood is how many are sent as fast as they are taken.
	flood   = 25_000
	senders = 4
	// patience bounds the wait for the last verdict of a run.
	patience = 10 * time.Minute
)

// load sends notifications of uploads through the platform and takes the times
// of prepare's verdicts.
type load struct {
	total  int
	due    func(i int) time.Time // when event i is to be sent; zero is now
	sent   []time.Time
	taken  []time.Duration
	places sync.Map // event id → i
	left   atomic.Int64
	done   chan struct{}
}

func newLoad(total int, due func(int) time.Time) *load {
	l := &load{total: total, due: due, sent: make([]time.Time, total), taken: make([]time.Duration, total), done: make(chan struct{})}
	l.left.Store(int64(total))
	return l
}

// heard notes the verdict of an event. An event that is delivered twice gets
// two, of which the first counts.
func (l *load) heard(id string) {
	place, first := l.places.LoadAndDelete(id)
	if !first {
		return
	}
	i := place.(int)
	l.taken[i] = time.Since(l.sent[i])
	if l.left.Add(-1) == 0 {
		close(l.done)
	}
}

// send sends all and returns when the last verdict was heard. Times count from
// when an event was due, so that a sender that is held up hides nothing.
func (l *load) send(ctx context.Context, p *platform) error {
	var next atomic.Int64
	failed := make(chan error, senders)
	for range senders {
		go func() {
			for i := int(next.Add(1)) - 1; i < l.total; i = int(next.Add(1)) - 1 {
				if err := l.one(ctx, p, i); err != nil {
					failed <- err
					return
				}
			}
			failed <- nil
		}()
	}
	for range senders {
		if err := <-failed; err != nil {
			return err
		}
	}
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%d of %d events have no verdict: %w", l.left.Load(), l.total, ctx.Err())
	}
}

// one announces a file that is no parquet, as the object store does: prepare
// filters it and says so.
func (l *load) one(ctx context.Context, p *platform, i int) error {
	l.sent[i] = l.due(i)
	if wait := time.Until(l.sent[i]); wait > 0 {
		<-time.After(wait)
	}
	list, err := events.FromNotification(fmt.Appendf(nil, `{"Records":[{"eventSource":"aws:s3","awsRegion":"us-east-1",
		"eventTime":"2026-11-23T06:00:00Z","eventName":"ObjectCreated:Put",
		"s3":{"bucket":{"name":"landing"},"object":{"key":"notes/%d.txt","size":1,"eTag":"e","sequencer":"%X"}}}]}`, i, i))
	if err != nil {
		return err
	}
	l.places.Store(list[0].ID(), i)
	return p.broker.Send(ctx, list[0])
}

// quantile of the times, in milliseconds.
func (l *load) quantile(q float64) float64 {
	sorted := slices.Sorted(slices.Values(l.taken))
	return sorted[int(q*float64(len(sorted)-1))].Seconds() * 1e3
}

// result is what one run measured.
type result struct{ p50, p99, rate, cpu float64 }

// measure runs the load on a platform of its own and fails if an event or a
// verdict is missing.
func measure(b *testing.B, total int, due func(int) time.Time) result {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	dir := b.TempDir()
	log, err := logTo(dir)
	require.NoError(b, err)
	defer func() { require.NoError(b, log.Close()) }()
	l := newLoad(total, due)
	p, err := start(ctx, dir, l.heard)
	require.NoError(b, err)

	cpu, begun := cpuTime(), time.Now()
	require.NoError(b, l.send(ctx, p))
	took := time.Since(begun)
	recorded, err := p.settle(ctx)
	cpu = cpuTime() - cpu
	require.NoError(b, err)
	require.EqualValues(b, 2*total, recorded, "events and their verdicts in the journal")
	require.NoError(b, p.close())
	return result{
		p50: l.quantile(0.5), p99: l.quantile(0.99), rate: float64(total) / took.Seconds(),
		cpu: float64(cpu.Microseconds()) / float64(total),
	}
}

// cpuTime is what this process has used so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // it fails for a wrong first argument alone
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSteady sends at an even rate. Each upload is two events for the
// broker and the journal, itself and its verdict: at half the rate the broker
// carries 5,000 events a second, at the whole rate 10,000.
func BenchmarkSteady(b *testing.B) {
	for b.Loop() {
		var p50, p99, p99Half []float64
		for range runs {
			half := atRate(b, rate/2)
			whole := atRate(b, rate)
			p50, p99, p99Half = append(p50, whole.p50), append(p99, whole.p99), append(p99Half, half.p99)
		}
		table.Add(b, table.Row{What: "2,500 uploads a second: sent → prepare's verdict stored, p99", Unit: "ms", Runs: p99Half, AtMost: 20})
		table.Add(b, table.Row{What: "5,000 uploads a second: sent → prepare's verdict stored, p50", Unit: "ms", Runs: p50})
		table.Add(b, table.Row{What: "5,000 uploads a second: sent → prepare's verdict stored, p99", Unit: "ms", Runs: p99, AtMost: 20})
	}
}

func atRate(b *testing.B, perSecond int) result {
	b.Helper()
	var begun time.Time
	var once sync.Once
	r := measure(b, perSecond*int(steady.Seconds()), func(i int) time.Time {
		once.Do(func() { begun = time.Now() })
		return begun.Add(time.Duration(i) * time.Second / time.Duration(perSecond))
	})
	b.Logf("%d a second: %+v", perSecond, r)
	return r
}

// BenchmarkFlood sends as fast as events are taken.
func BenchmarkFlood(b *testing.B) {
	for b.Loop() {
		var rates, cpu []float64
		for range runs {
			r := measure(b, flood, func(int) time.Time { return time.Now() })
			b.Logf("%+v", r)
			rates, cpu = append(rates, r.rate), append(cpu, r.cpu)
		}
		table.Add(b, table.Row{What: "uploads a second, each with a verdict and both in the journal", Unit: "events/s", Runs: rates, AtLeast: rate})
		table.Add(b, table.Row{What: "processor time of an upload, its verdict and both in the journal", Unit: "µs", Runs: cpu})
	}
}
