package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"refit.dev/events"
	"refit.dev/stage/store"
	"refit.dev/workload"
)

// Sweep looks once for what got stuck: landed objects without a claim, claims
// without a run, runs whose next step has not begun, and ended workloads
// without a mark. It decides nothing itself: it sends the event again that the
// function in charge should have had.
func (s *Source) Sweep(ctx context.Context) error {
	claims, err := s.c.State.List(ctx, "claims/")
	if err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	found, err := s.c.State.List(ctx, "runs/")
	if err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	runs := traces(found)
	err = errors.Join(s.sweepLanding(ctx, claims), s.sweepClaims(ctx, claims, runs), s.sweepRuns(ctx, runs))
	s.swept.Store(err == nil)
	return err
}

// sweepLanding announces objects that nobody claimed or refused.
func (s *Source) sweepLanding(ctx context.Context, claims []store.Info) error {
	refusals, err := s.c.State.List(ctx, "refusals/")
	if err != nil {
		return fmt.Errorf("sweep landing: %w", err)
	}
	known := map[string]bool{}
	for _, o := range slices.Concat(claims, refusals) {
		known[path.Base(o.Key)] = true
	}
	landed, err := s.c.Landing.List(ctx, "")
	if err != nil {
		return fmt.Errorf("sweep landing: %w", err)
	}
	for _, o := range landed {
		claim := events.ClaimOfObject(s.c.LandingName, o.Key, events.Artifact{ETag: o.ETag, Version: o.Version}, o.LastModified)
		if known[path.Base(claim)] || !s.due(o.LastModified) || !strings.HasSuffix(strings.ToLower(o.Key), ".parquet") {
			continue
		}
		if err := s.announce(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

func (s *Source) announce(ctx context.Context, o store.Info) error {
	r := events.Record{EventSource: "aws:s3", AWSRegion: s.c.Region, EventTime: o.LastModified, EventName: "ObjectCreated:Put"}
	r.S3.Bucket.Name = s.c.LandingName
	r.S3.Object.Key, r.S3.Object.Size, r.S3.Object.ETag, r.S3.Object.VersionID = url.QueryEscape(o.Key), o.Size, o.ETag, o.Version
	body, err := json.Marshal(map[string]any{"Records": []events.Record{r}})
	if err != nil {
		return fmt.Errorf("encode notification: %w", err)
	}
	list, err := events.FromNotification(body)
	if err != nil {
		return err
	}
	return s.again(ctx, list[0], "the object was never claimed")
}

// sweepClaims gives a run.json to claims whose claimant died before it wrote
// one, and starts the run.
func (s *Source) sweepClaims(ctx context.Context, claims []store.Info, runs map[string]*trace) error {
	started := map[string]bool{}
	for id := range runs {
		started[id[strings.LastIndex(id, "-")+1:]] = true
	}
	for _, c := range claims {
		if started[path.Base(c.Key)[:8]] || !s.due(c.LastModified) {
			continue
		}
		if err := s.revive(ctx, c.Key); err != nil {
			return err
		}
	}
	return nil
}

func (s *Source) revive(ctx context.Context, claim string) error {
	o, err := s.c.State.Get(ctx, claim)
	if err != nil {
		return fmt.Errorf("sweep claims: %w", err)
	}
	e, run, err := s.started(o.Body)
	if err != nil {
		return fmt.Errorf("sweep claim %s: %w", claim, err)
	}
	if err := s.c.State.Create(ctx, "runs/"+run.ID+"/run.json", o.Body); err != nil && !errors.Is(err, store.ErrExists) {
		return fmt.Errorf("sweep claims: %w", err)
	}
	return s.again(ctx, e, "the claim had no run")
}

// started is the event that began a run, from its definition.
func (s *Source) started(definition []byte) (event.Event, events.Run, error) {
	var run events.Run
	if err := json.Unmarshal(definition, &run); err != nil {
		return event.Event{}, run, fmt.Errorf("read run: %w", err)
	}
	e, err := events.Envelope{
		Type: events.RunStarted, Source: events.FunctionSource(events.Prepare), Run: run.ID, Stage: events.Prepare,
		Cause: run.Cause.ID, Traceparent: run.Traceparent, Time: run.CreatedAt,
	}.Event(run)
	return e, run, err
}

// trace is what a run left in the store.
type trace struct {
	run    string
	keys   map[string]bool // below the run's prefix
	newest time.Time
	marked time.Time // of the run's mark, zero without one
}

func traces(objects []store.Info) map[string]*trace {
	runs := map[string]*trace{}
	for _, o := range objects {
		id, rest, found := strings.Cut(strings.TrimPrefix(o.Key, "runs/"), "/")
		if !found {
			continue
		}
		t := runs[id]
		if t == nil {
			t = &trace{run: id, keys: map[string]bool{}}
			runs[id] = t
		}
		t.keys[rest] = true
		if o.LastModified.After(t.newest) {
			t.newest = o.LastModified
		}
		if rest == "mark" {
			t.marked = o.LastModified
		}
	}
	return runs
}

// attempts is how many attempts at s have a spec.
func (t *trace) attempts(s events.Stage) int {
	n := 0
	for t.keys[string(s)+"/"+strconv.Itoa(n+1)+"/spec.json"] {
		n++
	}
	return n
}

// last is the last stage that has a mark, next the first that has none.
func (t *trace) stages() (last, next events.Stage) {
	for _, s := range events.Stages() {
		if !t.keys[string(s)+"/mark"] {
			return last, s
		}
		last = s
	}
	return last, ""
}

func (s *Source) sweepRuns(ctx context.Context, runs map[string]*trace) error {
	workloads, err := s.c.Workloads(ctx)
	if err != nil {
		return fmt.Errorf("sweep runs: %w", err)
	}
	for _, id := range slices.Sorted(maps.Keys(runs)) {
		t := runs[id]
		if !s.due(t.newest) {
			continue
		}
		if err := s.sweepRun(ctx, t, workloads); err != nil {
			return fmt.Errorf("sweep run %s: %w", id, err)
		}
	}
	return nil
}

func (s *Source) sweepRun(ctx context.Context, t *trace, workloads map[string]Workload) error {
	last, next := t.stages()
	switch {
	case !t.marked.IsZero():
		return s.repeatMark(ctx, t)
	case next == "" || t.attempts(next) == 0:
		return s.sweepStep(ctx, t, last, next)
	}
	return s.sweepWorkload(ctx, t, next, workloads)
}

// repeatMark says once more, for a while, how a run ended: its last event may
// have been lost between the mark and the broker.
func (s *Source) repeatMark(ctx context.Context, t *trace) error {
	if s.c.Clock().Sub(t.marked) > s.c.Grace+2*s.c.Every {
		return nil
	}
	e, err := s.mark(ctx, "runs/"+t.run+"/mark")
	if err != nil {
		return err
	}
	return s.c.Send(ctx, e)
}

// sweepStep sends the event that begins next. If the stage before failed just
// when it should have marked the run, its own beginning makes it do so.
func (s *Source) sweepStep(ctx context.Context, t *trace, last, next events.Stage) error {
	if last != "" {
		e, err := s.mark(ctx, "runs/"+t.run+"/"+string(last)+"/mark")
		if err != nil {
			return err
		}
		if !events.Type(e.Type()).Terminal() {
			return s.again(ctx, e, "stage "+string(next)+" has not begun")
		}
		next = last
	}
	return s.begin(ctx, t, next)
}

// begin sends the event by which a stage begins.
func (s *Source) begin(ctx context.Context, t *trace, stage events.Stage) error {
	before := stage.Before()
	if len(before) == 0 {
		o, err := s.c.State.Get(ctx, "runs/"+t.run+"/run.json")
		if err != nil {
			return err
		}
		e, _, err := s.started(o.Body)
		if err != nil {
			return err
		}
		return s.again(ctx, e, "the run has not begun")
	}
	e, err := s.mark(ctx, "runs/"+t.run+"/"+string(before[len(before)-1])+"/mark")
	if err != nil {
		return err
	}
	return s.again(ctx, e, "stage "+string(stage)+" is stuck")
}

// sweepWorkload deals with a stage that has specs but no mark.
func (s *Source) sweepWorkload(ctx context.Context, t *trace, stage events.Stage, workloads map[string]Workload) error {
	for attempt := t.attempts(stage); attempt > 0; attempt-- {
		known, found := workloads[workload.Job{Run: t.run, Stage: stage, Attempt: attempt}.Name()]
		switch {
		case found && known.End == nil:
			return nil
		case found:
			e, err := s.ended(*known.End)
			if err != nil {
				return err
			}
			return s.again(ctx, e, "the end of the workload has no mark")
		}
	}
	return s.begin(ctx, t, stage)
}

func (s *Source) mark(ctx context.Context, key string) (event.Event, error) {
	var e event.Event
	o, err := s.c.State.Get(ctx, key)
	if err != nil {
		return e, err
	}
	if err := json.Unmarshal(o.Body, &e); err != nil {
		return e, fmt.Errorf("read mark %s: %w", key, err)
	}
	return e, nil
}

// due tells whether a trace of time t has waited long enough to be seen to now.
// Until something comes of it, it is due again each time its age has doubled,
// so that an outage piles up no events; a first sweep sees to everything.
func (s *Source) due(t time.Time) bool {
	age := s.c.Clock().Sub(t)
	return age > s.c.Grace && (!s.swept.Load() || doublings(age, s.c.Grace) != doublings(age-s.c.Every, s.c.Grace))
}

func doublings(age, unit time.Duration) int {
	return bits.Len64(uint64(max(0, age) / unit))
}
