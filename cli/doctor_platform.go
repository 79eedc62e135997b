package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"refit.dev/events"
	"refit.dev/platform/journal"
	"refit.dev/platform/objects"
	"refit.dev/stage/store"
)

// pingType is the type of the event that tries the broker; no function listens
// to it.
const pingType = "dev.refit.doctor.ping"

const (
	raceRounds  = 4
	storeTime   = 30 * time.Second
	brokerTime  = 15 * time.Second
	probeBucket = "doctor"
)

// platform tries the running platform, or without one the object store alone.
func (d *doctor) platform(ctx context.Context) []check {
	if d.session == nil {
		return []check{d.ownStore(ctx), advice("platform", "none runs on "+d.app.dir, "refit up starts one, and doctor then tries its NATS and its broker too")}
	}
	return []check{d.race(ctx, d.session.State, d.session.Remove), d.nats(ctx), d.broker(ctx)}
}

// ownStore starts an object store for a moment, on the disk of the data folder.
func (d *doctor) ownStore(ctx context.Context) (c check) {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	folder, err := os.MkdirTemp(existing(d.app.dir), ".refit-doctor-")
	if err != nil {
		return missing("object store", err.Error(), "make the data folder writable, or choose another with --dir")
	}
	s, err := objects.Start(ctx, objects.Config{Dir: folder, AccessKey: rand.Text(), SecretKey: rand.Text(), Buckets: []string{probeBucket}})
	if err == nil {
		c = d.race(ctx, store.NewS3(s.Client(), probeBucket), nil)
		err = s.Close()
	}
	if err = errors.Join(err, os.RemoveAll(folder)); err != nil {
		return missing("object store", err.Error(), "choose a data folder on another disk with --dir")
	}
	return c
}

func (d *doctor) race(ctx context.Context, b store.Bucket, remove func(context.Context, string) error) check {
	return d.app.raceCheck(ctx, "object store", "see the platform's log", b, remove)
}

// raceCheck tells whether a bucket lets one of many writers win.
func (a *App) raceCheck(ctx context.Context, name, how string, b store.Bucket, remove func(context.Context, string) error) check {
	for range raceRounds {
		key := "doctor/" + a.NewID()
		winners, err := Race(ctx, b, key)
		if remove != nil {
			err = errors.Join(err, remove(ctx, key))
		}
		if err != nil {
			return missing(name, err.Error(), how)
		}
		if winners != 1 {
			return missing(name, fmt.Sprintf("%d of %d writers were told that they created one object", winners, racers), "use a store that honours If-None-Match on PUT: with this one a model may be registered twice")
		}
	}
	return ok(name, fmt.Sprintf("one winner among %d writers, %d times", racers, raceRounds))
}

func (d *doctor) nats(ctx context.Context) check {
	const name = "NATS JetStream"
	ctx, cancel := context.WithTimeout(ctx, brokerTime)
	defer cancel()
	if _, err := d.session.Journal.Events(ctx, journal.Filter{Types: []string{string(events.RunStarted)}}); err != nil {
		return missing(name, err.Error(), "end the platform and start it again: refit up")
	}
	return ok(name, d.session.Connection.NATS.URL)
}

func (d *doctor) broker(ctx context.Context) check {
	const how = "see the platform's log, or end it and start it again: refit up"
	ctx, cancel := context.WithTimeout(ctx, brokerTime)
	defer cancel()
	return d.app.roundTrip(ctx, d.session, "broker", how)
}

// roundTrip sends an event and waits until the journal has got it by its
// trigger.
func (a *App) roundTrip(ctx context.Context, session *Session, name, how string) check {
	ping, err := a.newEvent(pingType, events.CLISource, "", map[string]any{})
	if err != nil {
		return missing(name, err.Error(), how)
	}
	broker, err := session.Broker(ctx)
	if err != nil {
		return missing(name, err.Error(), how)
	}
	if err := deliver(ctx, broker, ping); err != nil {
		return missing(name, err.Error(), how)
	}
	sent := a.Now()
	err = session.Journal.Follow(ctx, journal.Filter{Types: []string{pingType}, Since: sent.Add(-clockMargin)}, func(e event.Event) error {
		if e.ID() == ping.ID() {
			return journal.ErrStop
		}
		return nil
	})
	if err != nil {
		return missing(name, fmt.Sprintf("an event was taken but not delivered: %v", err), how)
	}
	return ok(name, fmt.Sprintf("an event went to the journal in %s", a.Now().Sub(sent).Round(time.Millisecond)))
}
