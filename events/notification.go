package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
)

// Notification is an S3 event notification as AWS and MinIO send it. MinIO adds
// EventName and Key, prefixes event names with "s3:" and calls its source
// "minio:s3"; both escape keys as in a query.
type Notification struct {
	Records []json.RawMessage `json:"Records"`
	// Event is "s3:TestEvent" in the message that AWS sends when a
	// notification is set up.
	Event string `json:"Event,omitempty"`
}

// Record is the part of a notification record that refit reads.
type Record struct {
	EventSource string    `json:"eventSource"`
	AWSRegion   string    `json:"awsRegion"`
	EventTime   time.Time `json:"eventTime"`
	EventName   string    `json:"eventName"`
	S3          struct {
		Bucket struct {
			Name string `json:"name"`
		} `json:"bucket"`
		Object struct {
			Key       string `json:"key"`
			Size      int64  `json:"size"`
			ETag      string `json:"eTag"`
			VersionID string `json:"versionId,omitempty"`
			Sequencer string `json:"sequencer"`
		} `json:"object"`
	} `json:"s3"`
}

// FromNotification turns a notification body into one CloudEvent a record, in
// the form of the CloudEvents adapter for S3: type com.amazonaws.s3. and the
// event name, source eventSource.awsRegion.bucket, subject the object's key,
// data the record as it came. What no attribute may hold, a line feed say, is
// percent-escaped in the subject: the key itself is what ParseRecord reads from
// the data. The set-up message of AWS gives no event.
func FromNotification(body []byte) ([]event.Event, error) {
	var n Notification
	if err := json.Unmarshal(body, &n); err != nil {
		return nil, fmt.Errorf("read S3 notification: %w", err)
	}
	if len(n.Records) == 0 && n.Event != "s3:TestEvent" {
		return nil, errors.New("read S3 notification: no Records: send the JSON that S3 or MinIO posts")
	}
	var list []event.Event
	for i, raw := range n.Records {
		e, err := fromRecord(raw)
		if err != nil {
			return nil, fmt.Errorf("read S3 notification: record %d: %w", i, err)
		}
		list = append(list, e)
	}
	return list, nil
}

func fromRecord(raw json.RawMessage) (event.Event, error) {
	r, key, err := ParseRecord(raw)
	if err != nil {
		return event.Event{}, err
	}
	e := event.New()
	e.SetType("com.amazonaws.s3." + strings.TrimPrefix(r.EventName, "s3:"))
	e.SetSource(strings.Join([]string{r.EventSource, r.AWSRegion, r.S3.Bucket.Name}, "."))
	e.SetSubject(subjectOf(key))
	e.SetTime(r.EventTime)
	e.SetID("s3:" + hash(e.Type(), e.Source(), key, r.S3.Object.VersionID, r.S3.Object.ETag, Sequencer(r.S3.Object.Sequencer))[:40])
	e.SetExtension(ExtTraceparent, Traceparent("", e.ID(), e.ID()))
	if err := e.SetData(event.ApplicationJSON, raw); err != nil {
		return event.Event{}, err
	}
	if escape(e.Type()) != e.Type() {
		return event.Event{}, fmt.Errorf("eventName %q holds control characters", r.EventName)
	}
	return e, e.Validate()
}

// subjectOf writes a key as the subject of an event may hold it.
func subjectOf(key string) string {
	if strings.TrimSpace(key) == "" {
		return url.PathEscape(key) // a subject of blanks counts as none
	}
	return escape(key)
}

// ParseRecord reads one record and the object's key in plain letters.
func ParseRecord(raw []byte) (Record, string, error) {
	var r Record
	if err := json.Unmarshal(raw, &r); err != nil {
		return r, "", fmt.Errorf("not an S3 record: %w", err)
	}
	if r.EventName == "" || r.S3.Bucket.Name == "" || r.S3.Object.Key == "" {
		return r, "", fmt.Errorf("eventName %q, bucket %q and key %q: none of them may be empty", r.EventName, r.S3.Bucket.Name, r.S3.Object.Key)
	}
	key, err := url.QueryUnescape(r.S3.Object.Key)
	if err != nil {
		return r, "", fmt.Errorf("key %q is not query-escaped: %w", r.S3.Object.Key, err)
	}
	return r, key, nil
}

// Sequencer brings a sequencer to one length, so that two of one key compare
// as text: stores leave leading zeros out.
func Sequencer(s string) string {
	const width = 32
	return strings.Repeat("0", max(0, width-len(s))) + strings.ToUpper(s)
}
