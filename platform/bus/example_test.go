package bus_test

import (
	"context"
	"fmt"
	"os"

	"github.com/nats-io/nats.go/jetstream"

	"refit.dev/platform/bus"
)

func Example() {
	dir, err := os.MkdirTemp("", "bus")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)

	ctx := context.Background()
	b, err := bus.Start(ctx, bus.Config{Dir: dir, Token: "from a 0600 file"})
	if err != nil {
		panic(err)
	}
	defer b.Close()

	_, err = b.JetStream().CreateStream(ctx, jetstream.StreamConfig{Name: "MAIL", Subjects: []string{"mail.*"}})
	if err != nil {
		panic(err)
	}
	ack, err := b.JetStream().Publish(ctx, "mail.in", []byte("hello"))
	if err != nil {
		panic(err)
	}
	fmt.Println(ack.Stream, ack.Sequence)
	// Output: MAIL 1
}
