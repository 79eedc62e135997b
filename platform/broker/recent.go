package broker

import (
	"sync/atomic"

	"github.com/cloudevents/sdk-go/v2/event"
)

const (
	// recentEvents and recentBytes bound the memory of [recent] to 16 MiB.
	recentEvents = 512
	recentBytes  = 32 << 10
)

// recent remembers the events read last by their place in the stream. All
// triggers read the same stream at about the same time, so an event is parsed
// once rather than once a trigger. Its events are shared: nobody may change
// them.
type recent struct {
	slots [recentEvents]atomic.Pointer[read]
}

type read struct {
	sequence uint64
	event    event.Event
}

// parse answers the event stored at sequence as data.
func (r *recent) parse(sequence uint64, data []byte) (*event.Event, error) {
	slot := &r.slots[sequence%recentEvents]
	if known := slot.Load(); known != nil && known.sequence == sequence {
		return &known.event, nil
	}
	fresh := &read{sequence: sequence}
	if err := fresh.event.UnmarshalJSON(data); err != nil {
		return nil, err
	}
	if err := fresh.event.Validate(); err != nil {
		return nil, err
	}
	if len(data) <= recentBytes {
		slot.Store(fresh)
	}
	return &fresh.event, nil
}
