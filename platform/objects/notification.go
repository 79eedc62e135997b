package objects

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"
)

// notifyTimeout bounds how long a writer waits for its event to be stored.
const notifyTimeout = 10 * time.Second

// Notification is what S3 tells about new objects; its JSON is that of AWS.
type Notification struct {
	// Records has one record here; readers must expect more.
	Records []Record `json:"Records"`
}

// Record is one new object.
type Record struct {
	EventVersion string    `json:"eventVersion"`
	EventSource  string    `json:"eventSource"`
	AWSRegion    string    `json:"awsRegion"`
	EventTime    time.Time `json:"eventTime"`
	// EventName is ObjectCreated: and Put, Copy or CompleteMultipartUpload.
	EventName string `json:"eventName"`
	S3        Entity `json:"s3"`
}

// Entity names the object of a record.
type Entity struct {
	SchemaVersion   string `json:"s3SchemaVersion"`
	ConfigurationID string `json:"configurationId"`
	Bucket          Bucket `json:"bucket"`
	Object          Object `json:"object"`
}

// Bucket is the bucket of an object.
type Bucket struct {
	Name string `json:"name"`
	ARN  string `json:"arn"`
}

// Object is an object as it was when the record was made.
type Object struct {
	// Key is the key encoded as a URL query is: a space is +, a slash is kept.
	Key string `json:"key"`
	// Size is in bytes.
	Size int64 `json:"size"`
	// ETag is without quotes.
	ETag      string `json:"eTag"`
	VersionID string `json:"versionId,omitempty"`
	// Sequencer orders the records of one key: compare as text.
	Sequencer string `json:"sequencer"`
}

// announcing is a backend that makes new objects known before it answers.
type announcing struct {
	backend.Backend

	config Config
	last   atomic.Int64
}

// PutObject stores an object and announces it.
func (a *announcing) PutObject(ctx context.Context, in s3response.PutObjectInput) (s3response.PutObjectOutput, error) {
	if err := checkKey(*in.Key); err != nil {
		return s3response.PutObjectOutput{}, err
	}
	out, err := a.Backend.PutObject(ctx, in)
	if err != nil || !a.listens(in.Bucket) {
		return out, explained(*in.Key, err)
	}
	object := Object{Key: *in.Key, ETag: out.ETag, VersionID: out.VersionID}
	if in.ContentLength != nil {
		object.Size = *in.ContentLength
	}
	return out, a.announce(ctx, "Put", *in.Bucket, object)
}

// CreateMultipartUpload begins an upload in parts, of a key that can be one.
func (a *announcing) CreateMultipartUpload(ctx context.Context, in s3response.CreateMultipartUploadInput) (s3response.InitiateMultipartUploadResult, error) {
	if err := checkKey(*in.Key); err != nil {
		return s3response.InitiateMultipartUploadResult{}, err
	}
	out, err := a.Backend.CreateMultipartUpload(ctx, in)
	return out, explained(*in.Key, err)
}

// CompleteMultipartUpload puts the parts together and announces the object.
func (a *announcing) CompleteMultipartUpload(
	ctx context.Context, in *s3.CompleteMultipartUploadInput,
) (s3response.CompleteMultipartUploadResult, string, error) {
	out, version, err := a.Backend.CompleteMultipartUpload(ctx, in)
	if err != nil || !a.listens(in.Bucket) {
		return out, version, explained(*in.Key, err)
	}
	object := Object{Key: *in.Key, Size: a.size(ctx, *in.Bucket, *in.Key), VersionID: version}
	if out.ETag != nil {
		object.ETag = *out.ETag
	}
	return out, version, a.announce(ctx, "CompleteMultipartUpload", *in.Bucket, object)
}

// CopyObject copies an object and announces the copy.
func (a *announcing) CopyObject(ctx context.Context, in s3response.CopyObjectInput) (s3response.CopyObjectOutput, error) {
	if err := checkKey(*in.Key); err != nil {
		return s3response.CopyObjectOutput{}, err
	}
	out, err := a.Backend.CopyObject(ctx, in)
	if err != nil || !a.listens(in.Bucket) {
		return out, explained(*in.Key, err)
	}
	object := Object{Key: *in.Key, Size: a.size(ctx, *in.Bucket, *in.Key)}
	if out.CopyObjectResult != nil && out.CopyObjectResult.ETag != nil {
		object.ETag = *out.CopyObjectResult.ETag
	}
	if out.VersionId != nil {
		object.VersionID = *out.VersionId
	}
	return out, a.announce(ctx, "Copy", *in.Bucket, object)
}

func (a *announcing) listens(bucket *string) bool {
	return bucket != nil && slices.Contains(a.config.NotifyBuckets, *bucket)
}

// size looks an object's size up where the gateway does not tell it. It is 0
// for an object that is gone already: whoever gets the event will see that.
func (a *announcing) size(ctx context.Context, bucket, key string) int64 {
	head, err := a.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
	if err != nil || head.ContentLength == nil {
		return 0
	}
	return *head.ContentLength
}

func (a *announcing) announce(ctx context.Context, event, bucket string, object Object) error {
	key := object.Key
	// The gateway's strings live in a buffer that the next request overwrites;
	// escaping and cloning makes copies that Notify may keep.
	bucket = strings.Clone(bucket)
	object.Key = escape(key)
	object.ETag = strings.Trim(strings.Clone(object.ETag), `"`)
	object.VersionID = strings.Clone(object.VersionID)
	now := time.Now().UTC()
	object.Sequencer = a.sequencer(now)

	// A store that is being closed still tells of what it has stored.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), notifyTimeout)
	defer cancel()
	err := a.config.Notify(ctx, Notification{Records: []Record{{
		EventVersion: "2.1",
		EventSource:  "aws:s3",
		AWSRegion:    a.config.Region,
		EventTime:    now,
		EventName:    "ObjectCreated:" + event,
		S3: Entity{
			SchemaVersion:   "1.0",
			ConfigurationID: "refit",
			Bucket:          Bucket{Name: bucket, ARN: "arn:aws:s3:::" + bucket},
			Object:          object,
		},
	}}})
	if err == nil {
		return nil
	}
	a.config.Logger.Warn("object is stored, its event is not: the writer is told to try again", "bucket", bucket, "key", object.Key, "error", err)
	return s3err.APIError{
		Code:           "SlowDown",
		Description:    "The object is stored, its event is not. Send the request again.",
		HTTPStatusCode: http.StatusServiceUnavailable,
	}
}

// sequencer grows from record to record, also across restarts as long as the
// clock does.
func (a *announcing) sequencer(now time.Time) string {
	for {
		last := a.last.Load()
		next := max(now.UnixNano(), last+1)
		if a.last.CompareAndSwap(last, next) {
			return fmt.Sprintf("%018X", next)
		}
	}
}

// escape encodes a key as AWS does in its notifications.
func escape(key string) string {
	return strings.Clone(strings.ReplaceAll(url.QueryEscape(key), "%2F", "/"))
}
