package rig

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"refit.dev/platform/host"
)

// idle waits until every consumer of the bus has acknowledged every message.
func idle(ctx context.Context, c host.Endpoint) error {
	conn, err := nats.Connect(c.URL, nats.Token(c.Token))
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	for {
		waiting, err := backlog(ctx, js)
		if waiting == 0 || err != nil {
			return err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%d messages are waiting: %w", waiting, ctx.Err())
		}
	}
}

// backlog is how many messages are to be delivered or acknowledged, or came
// while they were counted.
func backlog(ctx context.Context, js jetstream.JetStream) (uint64, error) {
	var waiting uint64
	streams := js.ListStreams(ctx)
	for info := range streams.Info() {
		stream, err := js.Stream(ctx, info.Config.Name)
		if err != nil {
			return 0, err
		}
		consumers := stream.ListConsumers(ctx)
		for consumer := range consumers.Info() {
			if consumer.Config.AckPolicy == jetstream.AckExplicitPolicy {
				waiting += consumer.NumPending + uint64(consumer.NumAckPending)
			}
		}
		if err := consumers.Err(); err != nil {
			return 0, err
		}
		now, err := stream.Info(ctx)
		if err != nil {
			return 0, err
		}
		waiting += now.State.LastSeq - info.State.LastSeq
	}
	return waiting, streams.Err()
}
