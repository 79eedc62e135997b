package broker_test

import (
	"context"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	files "refit.dev/config"
	"refit.dev/platform/broker"
)

// rate is the offered load of BenchmarkAtRate in events a second.
const rate = 5000

// clock is a service that takes the time from sending an event to having it.
type clock struct {
	sent  sync.Map // event id → time.Time
	mu    sync.Mutex
	taken []time.Duration
	all   chan struct{}
	want  int
}

func (c *clock) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at, _ := c.sent.Load(r.Header.Get("Ce-Id"))
	c.mu.Lock()
	c.taken = append(c.taken, time.Since(at.(time.Time)))
	if len(c.taken) == c.want {
		close(c.all)
	}
	c.mu.Unlock()
	w.WriteHeader(http.StatusAccepted)
}

// benchmark sends b.N events through the triggers of config/base: each goes
// past all filters and to the journal, and one in four to a function as well.
func benchmark(b *testing.B, senders int, wait func(i int)) {
	base, err := fs.Sub(files.Files, "base")
	require.NoError(b, err)
	m, err := broker.Load(base)
	require.NoError(b, err)
	journal := &clock{want: b.N, all: make(chan struct{})}
	journalServer := httptest.NewServer(journal)
	defer journalServer.Close()
	var functions atomic.Int64
	functionServer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		functions.Add(1)
		w.WriteHeader(http.StatusOK)
	}))
	defer functionServer.Close()
	br := newBroker(b, broker.Config{
		Manifests: m,
		JetStream: startBus(b, b.TempDir()).JetStream(),
		Resolve: func(_, name string) (string, error) {
			if name == "journal" {
				return journalServer.URL, nil
			}
			return functionServer.URL, nil
		},
	})
	stop := run(b, br)
	defer stop()

	b.ResetTimer()
	var all sync.WaitGroup
	var next atomic.Int64
	for range senders {
		all.Go(func() {
			for i := int(next.Add(1)); i <= b.N; i = int(next.Add(1)) {
				wait(i)
				e := newEvent(strconv.Itoa(i))
				e.SetType("dev.refit.workload.ended")
				if i%4 == 0 {
					e.SetExtension("stage", "train")
				}
				journal.sent.Store(e.ID(), time.Now())
				if err := br.Send(context.Background(), e); err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
	<-journal.all
	b.StopTimer()
	slices.Sort(journal.taken)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(journal.taken[len(journal.taken)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(journal.taken[len(journal.taken)*99/100].Microseconds())/1000, "p99-ms")
}

// BenchmarkFlood sends as fast as it can.
func BenchmarkFlood(b *testing.B) {
	benchmark(b, 4, func(int) {})
}

// BenchmarkAtRate sends at an even rate.
func BenchmarkAtRate(b *testing.B) {
	var once sync.Once
	var start time.Time
	benchmark(b, 4, func(i int) {
		once.Do(func() { start = time.Now() })
		<-time.After(time.Until(start.Add(time.Duration(i) * time.Second / rate)))
	})
}
