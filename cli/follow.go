package cli

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"refit.dev/platform/journal"
)

// How often a follower looks at progress, and, counted in those, at the mark
// of the run.
const (
	lookEvery = time.Second
	markEvery = 15
)

// display shows a run while it goes on.
type display interface {
	// event shows a new event of the run, after which the run is as in v.
	event(e event.Event, v *journal.RunView)
	// progress shows what the workload of a running stage said.
	progress(v *journal.RunView, s *journal.StageView, p progress)
	// tick is called as time passes.
	tick(v *journal.RunView)
	// close is called once, when nothing more comes.
	close()
}

// display picks how a run is shown.
func (a *App) display() display {
	switch {
	case a.json:
		return &lineDisplay{app: a}
	case a.ErrTerminal:
		return &liveDisplay{app: a}
	default:
		return &plainDisplay{app: a}
	}
}

// follow shows a run until its end, tells what came of it, and returns what the
// exit code says.
func (a *App) follow(ctx context.Context, session *Session, run string) error {
	shown := a.display()
	f := follower{app: a, session: session, run: run, display: shown, seen: map[string]bool{}}
	v, err := f.follow(ctx)
	shown.close()
	switch {
	case errors.Is(err, context.Canceled):
		a.remarkf("run %s goes on without you: %s", run, a.command("run show "+run))
		return err
	case errors.Is(err, journal.ErrGone) && !a.inCluster():
		return fmt.Errorf("follow run %s: %w: the platform has ended, the run goes on when one runs on %s again: refit up", run, err, a.dir)
	case err != nil:
		return fmt.Errorf("follow run %s: %w: it goes on by itself, %s tells how far it is", run, err, a.command("run show "+run))
	}
	if err := a.summary(v, session); err != nil {
		return err
	}
	return outcome(v.State)
}

// follower follows one run.
type follower struct {
	app     *App
	session *Session
	run     string
	display display

	events []event.Event
	seen   map[string]bool
	view   journal.RunView
	last   progress
}

func (f *follower) follow(ctx context.Context) (*journal.RunView, error) {
	ctx, cancel := context.WithCancel(ctx)
	coming := make(chan event.Event)
	ended := make(chan error, 1)
	var reading sync.WaitGroup
	reading.Go(func() {
		ended <- f.session.Journal.Follow(ctx, journal.Filter{Run: f.run}, func(e event.Event) error {
			select {
			case coming <- e:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	})
	ticks, stop := f.app.Tick(lookEvery)
	defer stop()
	err := f.loop(ctx, coming, ended, ticks)
	cancel()
	reading.Wait()
	return &f.view, err
}

func (f *follower) loop(ctx context.Context, coming <-chan event.Event, ended <-chan error, ticks <-chan time.Time) error {
	for n := 1; !f.view.State.Ended() || f.view.ID == ""; {
		select {
		case e := <-coming:
			f.take(e)
		case err := <-ended:
			return err
		case <-ticks:
			if err := f.look(ctx, n%markEvery == 0); err != nil {
				return err
			}
			n++
		}
	}
	return nil
}

// take adds an event to what is known of the run.
func (f *follower) take(e event.Event) {
	key := e.Source() + "\x00" + e.Type() + "\x00" + e.ID()
	if f.seen[key] {
		return
	}
	f.seen[key] = true
	f.events = append(f.events, e)
	for _, v := range journal.Fold(f.events) {
		if v.ID == f.run {
			f.view = v
			f.display.event(e, &f.view)
		}
	}
}

// look reads the progress of the running stage, and now and then the run's
// mark. A store that does not answer for a moment is no reason to stop.
func (f *follower) look(ctx context.Context, mark bool) error {
	if mark {
		if e, found, err := readMark(ctx, f.session.State, f.run); err == nil && found {
			f.take(e)
			return nil
		}
	}
	s := f.view.Current()
	if s == nil || s.State != journal.Running {
		f.display.tick(&f.view)
		return ctx.Err()
	}
	p, found, err := readProgress(ctx, f.session.State, f.run, s)
	if err == nil && found && p != f.last {
		f.last = p
		f.display.progress(&f.view, s, p)
	}
	f.display.tick(&f.view)
	return ctx.Err()
}
