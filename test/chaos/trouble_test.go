package chaos_test

import (
	"context"
	"net/http"
	"os"
	"regexp"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"refit.dev/events"
	"refit.dev/platform/journal"
	"refit.dev/stage/store"
	"refit.dev/test/chaos/fault"
	"refit.dev/test/chaos/rig"
	"refit.dev/test/chaos/small"
	"refit.dev/test/platformtest"
)

// troubled is a platform in this process whose surroundings can be broken.
type troubled struct {
	*platformtest.Platform

	rig   *rig.Rig
	ahead atomic.Int64 // by how much the clock is fast
}

// trouble starts a platform with MLflow on the shared folder.
func trouble(t *testing.T) *troubled {
	t.Helper()
	requireNoLeak(t)
	p := &troubled{}
	c := config(shared, platformtest.Ports(t, shared))
	require.NoError(t, os.MkdirAll(c.Folder, 0o700))
	c.Clock = func() time.Time { return time.Now().Add(time.Duration(p.ahead.Load())) }
	var err error
	p.rig, err = rig.Start(context.Background(), c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.rig.Close()) })
	p.Platform, err = platformtest.Attach(p.rig.Connection())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	require.NoError(t, p.rig.Ready(ctx))
	return p
}

// requireNoLeak checks at the test's end that no goroutine of the test stays,
// but for the clock that the object store's HTTP server keeps for the process.
// A client in the middle of its pause before another try may take that.
func requireNoLeak(t *testing.T) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		var left error
		require.Eventually(t, func() bool {
			left = goleak.Find(before, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"))
			return left == nil
		}, 30*time.Second, 10*time.Millisecond)
		require.NoError(t, left)
	})
}

// anything matches every request.
var anything = regexp.MustCompile("")

// TestARunOutlastsTroubleAround breaks what the functions use, for a while. The
// run waits, and goes on when the trouble is over.
func TestARunOutlastsTroubleAround(t *testing.T) {
	p := trouble(t)
	for name, tc := range map[string]struct {
		proxy *fault.Proxy
		rule  fault.Rule
	}{
		"S3 answers 500":                  {p.rig.S3, fault.Rule{Request: anything, Status: http.StatusInternalServerError, Times: 20}},
		"S3 asks to slow down":            {p.rig.S3, fault.Rule{Request: regexp.MustCompile("^PUT "), Status: http.StatusServiceUnavailable, Times: 8}},
		"S3 is slow":                      {p.rig.S3, fault.Rule{Request: anything, Delay: 200 * time.Millisecond}},
		"S3 loses answers to writes":      {p.rig.S3, fault.Rule{Request: regexp.MustCompile("^PUT /refit/(claims|runs)/"), After: fault.Lose, Times: 20}},
		"MLflow answers 500":              {p.rig.MLflow, fault.Rule{Request: anything, Status: http.StatusInternalServerError, Times: 5}},
		"MLflow answers 429":              {p.rig.MLflow, fault.Rule{Request: anything, Status: http.StatusTooManyRequests, Times: 5}},
		"MLflow is slow":                  {p.rig.MLflow, fault.Rule{Request: anything, Delay: time.Second}},
		"MLflow breaks off after version": {p.rig.MLflow, fault.Rule{Request: regexp.MustCompile("alias$"), Status: http.StatusBadGateway, Times: 3}},
		"the broker is away":              {p.rig.Broker, fault.Rule{Request: anything, Status: http.StatusServiceUnavailable, Times: 10}},
		"the launcher is away":            {p.rig.Launcher, fault.Rule{Request: anything, Status: http.StatusServiceUnavailable, Times: 3}},
		"functions are away":              {p.rig.Functions, fault.Rule{Request: anything, Status: http.StatusBadGateway, Times: 10}},
	} {
		t.Run(name, func(t *testing.T) {
			tc.proxy.Break(tc.rule)
			t.Cleanup(func() { tc.proxy.Break() })
			run := p.upload(t, "f1=0.9/"+name+".parquet")
			view := p.Ended(t, run.ID)
			require.Equal(t, journal.Registered, view.State, view.Reason)
			require.Len(t, p.ByRun(t, "trouble", view.ID), 1)
			require.Positive(t, tc.proxy.Met())
			if tc.rule.Times > 0 {
				require.Equal(t, tc.rule.Times, tc.proxy.Met(), "there was as much trouble as there was to be")
			}
		})
	}
	t.Run("MLflow is away for a minute", func(t *testing.T) { mlflowIsAway(t, p, time.Minute) })
	t.Run("the clock jumps", func(t *testing.T) { theClockJumps(t, p) })
	t.Run("events come again past the window", func(t *testing.T) { eventsComeAgain(t, p) })
}

func (p *troubled) upload(t *testing.T, key string) events.Run {
	t.Helper()
	file := t.TempDir() + "/mail"
	require.NoError(t, os.WriteFile(file, []byte(key), 0o600))
	p.Upload(t, key, file, map[string]string{"refit-model-name": "trouble"})
	return runOf(t, p.Platform, key)
}

// mlflowIsAway refuses every request to MLflow for a while.
func mlflowIsAway(t *testing.T, p *troubled, while time.Duration) {
	t.Helper()
	p.rig.MLflow.Break(fault.Rule{Request: anything, Status: http.StatusBadGateway})
	t.Cleanup(func() { p.rig.MLflow.Break() })
	run := p.upload(t, "f1=0.9/away.parquet")
	require.Eventually(t, func() bool { return p.rig.MLflow.Met() > 0 }, time.Minute, 10*time.Millisecond)
	require.Never(t, func() bool {
		_, err := p.state().Head(t.Context(), "runs/"+run.ID+"/mark")
		return err == nil
	}, while, time.Second, "the run waits")
	p.rig.MLflow.Break()
	view := p.Ended(t, run.ID)
	require.Equal(t, journal.Registered, view.State, view.Reason)
	require.Len(t, p.ByRun(t, "trouble", run.ID), 1)
}

// theClockJumps sets the clock two hours ahead in the middle of a run, and half
// an hour back in the next stage.
func theClockJumps(t *testing.T, p *troubled) {
	t.Helper()
	run := p.upload(t, "features=gate/train=gate/clock.parquet")
	for _, jump := range []struct {
		at    events.Stage
		ahead time.Duration
	}{{events.Features, 2 * time.Hour}, {events.Train, -30 * time.Minute}} {
		p.Until(t, journal.Filter{Run: run.ID}, func(e event.Event) bool { return e.Type() == string(jump.at.Started()) })
		p.ahead.Store(int64(jump.ahead))
		require.NoError(t, p.state().Put(t.Context(), small.Gate(run.ID, jump.at), nil))
	}
	view := p.Ended(t, run.ID)
	p.ahead.Store(0)
	require.Equal(t, journal.Rejected, view.State, view.Reason)
	for _, s := range view.Stages {
		require.Equal(t, 1, s.Attempt, s.Stage)
	}
}

func (p *troubled) state() store.Bucket { return p.Bucket(p.Connection().S3.State) }

// eventsComeAgain sends all events of a run that is over once more, with ids
// that no broker remembers.
func eventsComeAgain(t *testing.T, p *troubled) {
	t.Helper()
	run := p.upload(t, "f1=0.9/again.parquet").ID
	want := p.Ended(t, run)
	launched := p.Launched(t, run)
	list, err := p.Journal.Events(t.Context(), journal.Filter{Run: run})
	require.NoError(t, err)
	for _, e := range list {
		e = e.Clone()
		e.SetID(e.ID() + ":again")
		p.Emit(t, e)
	}
	last := list[len(list)-1].ID() + ":again"
	p.Until(t, journal.Filter{Run: run}, func(e event.Event) bool { return e.ID() == last })
	p.Ended(t, p.upload(t, "after.parquet").ID) // the functions had the others by then
	require.Equal(t, launched, p.Launched(t, run))
	require.Len(t, p.ByRun(t, "trouble", run), 1)
	got := p.Ended(t, run)
	require.Equal(t, want.State, got.State)
	require.Equal(t, want.Model, got.Model)
}
