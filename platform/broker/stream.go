package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// streamAnnotation is where the Knative JetStream broker looks for the
// settings of one broker's stream.
const streamAnnotation = "natsjetstream.eventing.knative.dev/config"

// streamSettings is the part of the Knative JetStream broker's settings that
// matters on one machine; replicas, placement and deployments do not.
type streamSettings struct {
	Stream struct {
		Retention       string          `json:"retention"`
		Discard         string          `json:"discard"`
		Storage         string          `json:"storage"`
		MaxAge          metav1.Duration `json:"maxAge"`
		MaxBytes        int64           `json:"maxBytes"`
		MaxMsgs         int64           `json:"maxMsgs"`
		DuplicateWindow metav1.Duration `json:"duplicateWindow"`
	} `json:"stream"`
}

// streamConfig reads the broker's annotation. Without it events are kept for a
// week in at most 1 GiB. Other retentions than Limits are refused: they delete
// an event when it is delivered, and then nothing can be replayed.
func streamConfig(annotation string) (jetstream.StreamConfig, error) {
	c := jetstream.StreamConfig{
		Retention:   jetstream.LimitsPolicy,
		Storage:     jetstream.FileStorage,
		Discard:     jetstream.DiscardOld,
		MaxAge:      7 * 24 * time.Hour,
		MaxBytes:    1 << 30,
		Duplicates:  2 * time.Minute,
		AllowDirect: true,
	}
	if annotation == "" {
		return c, nil
	}
	var s streamSettings
	if err := json.Unmarshal([]byte(annotation), &s); err != nil {
		return c, err
	}
	for _, field := range []struct{ name, value, accepted string }{
		{"retention", s.Stream.Retention, "Limits"},
		{"storage", s.Stream.Storage, "File"},
		{"discard", s.Stream.Discard, "Old"},
	} {
		// Without a retention the cluster's broker takes Interest.
		if field.value != field.accepted && (field.value != "" || field.name == "retention") {
			return c, fmt.Errorf("stream.%s: %q; accepted is %q", field.name, field.value, field.accepted)
		}
	}
	if slices.Min([]int64{s.Stream.MaxBytes, s.Stream.MaxMsgs, int64(s.Stream.MaxAge.Duration), int64(s.Stream.DuplicateWindow.Duration)}) < 0 {
		return c, errors.New("stream: a limit is negative; accepted are 0 (none) and more")
	}
	c.MaxAge, c.MaxBytes, c.MaxMsgs = s.Stream.MaxAge.Duration, s.Stream.MaxBytes, s.Stream.MaxMsgs
	if s.Stream.DuplicateWindow.Duration > 0 {
		c.Duplicates = s.Stream.DuplicateWindow.Duration
	}
	return c, nil
}
