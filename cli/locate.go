package cli

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"refit.dev/events"
	"refit.dev/platform/journal"
	"refit.dev/stage/store"
)

// How long a run may take to begin: a function answers in milliseconds, but a
// broker that was down delivers again with growing delays, and in a cluster the
// function may have to be pulled and started first.
const (
	waitForRun     = 2 * time.Minute
	waitForCluster = 5 * time.Minute
)

// clockMargin is how far the journal's clock may be behind.
const clockMargin = time.Minute

// cause tells which events answer something that was sent or uploaded.
type cause interface {
	// began tells whether run was started by it.
	began(run events.Run) bool
	// answers tells whether a verdict, caused by the event with that id, is on
	// it.
	answers(causation string) bool
	// learn looks at every other event.
	learn(e event.Event)
}

// byEvent is the cause of what an injected event starts.
type byEvent struct{ source, id string }

func causedBy(e event.Event) cause { return &byEvent{source: e.Source(), id: e.ID()} }

func (c *byEvent) began(run events.Run) bool {
	return run.Cause.ID == c.id && run.Cause.Source == c.source
}
func (c *byEvent) answers(causation string) bool {
	return causation == c.id
}
func (c *byEvent) learn(event.Event) {}

// byUpload is the cause of what an uploaded object starts. The store's own
// event names the object by key and ETag, and verdicts name that event.
type byUpload struct {
	uri    string
	object store.Info
	ids    map[string]bool
}

func causedByUpload(uri string, object store.Info) cause {
	return &byUpload{uri: uri, object: object, ids: map[string]bool{}}
}

func (c *byUpload) began(run events.Run) bool {
	return run.Data.URI == c.uri && run.Data.ETag == c.object.ETag && run.Data.LandedAt.Equal(c.object.LastModified) && events.IsObjectCreated(run.Cause.Type)
}

func (c *byUpload) answers(causation string) bool { return c.ids[causation] }

func (c *byUpload) learn(e event.Event) {
	if !events.IsObjectCreated(e.Type()) {
		return
	}
	// Not by the subject, in which some letters are escaped.
	record, key, err := events.ParseRecord(e.Data())
	if err == nil && key == c.object.Key && strings.Trim(record.S3.Object.ETag, `"`) == c.object.ETag {
		c.ids[e.ID()] = true
	}
}

// verdict is an event that says why something started no run.
type verdict struct {
	causation string
	landing   events.Landing
}

// findRun waits for the run that c began, and returns its id. What is refused
// ends in an error with the reason.
func (a *App) findRun(ctx context.Context, session *Session, c cause, since time.Time) (string, error) {
	wait := waitForRun
	if a.inCluster() {
		wait = waitForCluster
	}
	ctx, cancel := context.WithTimeoutCause(ctx, wait, refusedf("no run began within %s: %s says whether the platform is well, %s what runs", wait, a.command("doctor"), a.command("runs")))
	defer cancel()
	var run string
	var waiting []verdict
	err := session.Journal.Follow(ctx, journal.Filter{Since: since.Add(-clockMargin)}, func(e event.Event) error {
		c.learn(e)
		if v, ok := verdictOf(e); ok {
			waiting = append(waiting, v)
		}
		run = startedBy(c, e)
		if run != "" {
			return journal.ErrStop
		}
		for _, v := range waiting {
			if c.answers(v.causation) {
				run = v.landing.Run
				return a.judge(v.landing)
			}
		}
		return nil
	})
	if errors.Is(err, context.DeadlineExceeded) {
		err = context.Cause(ctx)
	}
	if err != nil {
		return "", err
	}
	return run, nil
}

// startedBy is the run that e says has started by c, or empty.
func startedBy(c cause, e event.Event) string {
	var run events.Run
	if e.Type() != string(events.RunStarted) || e.DataAs(&run) != nil || !c.began(run) {
		return ""
	}
	return run.ID
}

func verdictOf(e event.Event) (verdict, bool) {
	v := verdict{causation: events.Extension(e, events.ExtCausationID)}
	if !strings.HasPrefix(e.Type(), "dev.refit.landing.") || e.DataAs(&v.landing) != nil {
		return v, false
	}
	return v, true
}

// judge stops the search: with the run that has the object already, or with the
// reason why there is none.
func (a *App) judge(l events.Landing) error {
	if l.Run != "" {
		a.remarkf("%s", l.Message)
		return journal.ErrStop
	}
	if a.json {
		if err := a.printLine(map[string]any{"refused": l}); err != nil {
			return err
		}
	}
	if len(l.Accepted) == 0 {
		return refusedf("no run was started: %s: %s", l.Reason, l.Message)
	}
	return refusedf("no run was started: %s: %s\n\nThe parameters are:\n%s", l.Reason, l.Message, listOf(l.Accepted))
}

// followCause follows the run that c began to its end.
func (a *App) followCause(ctx context.Context, session *Session, c cause, since time.Time) error {
	run, err := a.findRun(ctx, session, c, since)
	if err != nil {
		return err
	}
	return a.follow(ctx, session, run)
}
