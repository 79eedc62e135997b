package broker

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// held is what a trigger has taken and not yet settled, by place in the stream.
type held struct {
	mu       sync.Mutex
	messages map[uint64]jetstream.Msg
	freed    chan struct{}
}

// add takes the message in. It answers false where the same event is held
// already: then JetStream has delivered it twice and the first delivery counts.
func (h *held) add(sequence uint64, message jetstream.Msg) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, twice := h.messages[sequence]; twice {
		return false
	}
	h.messages[sequence] = message
	return true
}

func (h *held) remove(sequence uint64) {
	h.mu.Lock()
	delete(h.messages, sequence)
	h.mu.Unlock()
	select {
	case h.freed <- struct{}{}:
	default:
	}
}

// room waits until half of the room is free and answers how much is; false
// when ctx is done.
func (h *held) room(ctx context.Context) (int, bool) {
	for {
		h.mu.Lock()
		free := batch - len(h.messages)
		h.mu.Unlock()
		if ctx.Err() != nil {
			return 0, false
		}
		if free >= batch/2 {
			return free, true
		}
		select {
		case <-h.freed:
		case <-ctx.Done():
		}
	}
}

// keepAlive tells JetStream in every interval that what is held is still being
// worked on. A delivery with its retries outlasts any sensible AckWait.
func (h *held) keepAlive(ctx context.Context, interval time.Duration) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			h.mu.Lock()
			for _, message := range h.messages {
				_ = message.InProgress() // a settled or lost one: either way there is nothing to do
			}
			h.mu.Unlock()
		}
	}
}
