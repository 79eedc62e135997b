package events_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/binding/spec"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/cloudevents/sdk-go/v2/test"
	"github.com/stretchr/testify/require"

	"refit.dev/events"
)

// announced is one record, as a store would write it.
type announced struct {
	source, region, name, bucket, key, etag, version, sequencer string
}

// put is a record of AWS for the object with that key, as a query has it.
func put(key string) announced {
	return announced{source: "aws:s3", region: "eu-central-1", name: "ObjectCreated:Put", bucket: "landing", key: key, etag: "9b2c", sequencer: "0055AED6"}
}

func (a announced) record() map[string]any {
	object := map[string]any{"key": a.key, "size": 12, "eTag": a.etag, "sequencer": a.sequencer}
	if a.version != "" {
		object["versionId"] = a.version
	}
	return map[string]any{
		"eventVersion": "2.1", "eventSource": a.source, "awsRegion": a.region, "eventTime": "2026-11-23T06:00:00.123Z", "eventName": a.name,
		"s3": map[string]any{"bucket": map[string]any{"name": a.bucket}, "object": object},
	}
}

func (a announced) aws(t *testing.T) []byte {
	return encode(t, map[string]any{"Records": []any{a.record()}})
}

// minio adds what MinIO adds.
func (a announced) minio(t *testing.T) []byte {
	return encode(t, map[string]any{"EventName": a.name, "Key": a.bucket + "/" + a.key, "Records": []any{a.record()}})
}

func encode(t *testing.T, value any) []byte {
	t.Helper()
	b, err := json.Marshal(value)
	require.NoError(t, err)
	return b
}

func one(t *testing.T, body []byte) event.Event {
	t.Helper()
	list, err := events.FromNotification(body)
	require.NoError(t, err)
	require.Len(t, list, 1)
	return list[0]
}

func TestANotificationBecomesAnEvent(t *testing.T) {
	long := strings.Repeat("k", 1016) + ".parquet"
	for name, tc := range map[string]struct {
		from        announced
		minio       bool
		wantType    string
		wantSource  string
		wantSubject string
		wantKey     string // the subject, where it is empty
	}{
		"AWS": {
			from:     put("emails/all.parquet"),
			wantType: "com.amazonaws.s3.ObjectCreated:Put", wantSource: "aws:s3.eu-central-1.landing", wantSubject: "emails/all.parquet",
		},
		"MinIO": {
			from: announced{source: "minio:s3", name: "s3:ObjectCreated:CompleteMultipartUpload", bucket: "landing", key: "emails%2Fall.parquet"}, minio: true,
			wantType: "com.amazonaws.s3.ObjectCreated:CompleteMultipartUpload", wantSource: "minio:s3..landing", wantSubject: "emails/all.parquet",
		},
		"a blank as +":             {from: put("all+emails.parquet"), wantSubject: "all emails.parquet"},
		"a blank as %20":           {from: put("all%20emails.parquet"), wantSubject: "all emails.parquet"},
		"a + in the key":           {from: put("a%2Bb.parquet"), wantSubject: "a+b.parquet"},
		"a % in the key":           {from: put("100%25.parquet"), wantSubject: "100%.parquet"},
		"a % that looks like code": {from: put("a%250Ab.parquet"), wantSubject: "a%0Ab.parquet"},
		"escaped letters":          {from: put("%D0%BF%D0%BE%D1%87%D1%82%D0%B0.parquet"), wantSubject: "почта.parquet"},
		"plain letters":            {from: put("почта.parquet"), wantSubject: "почта.parquet"},
		"a key of 1024 bytes":      {from: put(long), wantSubject: long},
		"a line feed":              {from: put("a%0Ab.parquet"), wantSubject: "a%0Ab.parquet", wantKey: "a\nb.parquet"},
		"a header of its own":      {from: put("a%0D%0Ax-evil:1.parquet"), wantSubject: "a%0D%0Ax-evil:1.parquet", wantKey: "a\r\nx-evil:1.parquet"},
		"a tab, DEL and C1":        {from: put("%09%7F%C2%85"), wantSubject: "%09%7F%C2%85", wantKey: "\t\x7f\u0085"},
		"a noncharacter":           {from: put("%EF%BF%BE"), wantSubject: "%EF%BF%BE", wantKey: "\ufffe"},
		"bytes that are not UTF-8": {from: put("a%FFb"), wantSubject: "a%FFb", wantKey: "a\xffb"},
		"a true replacement sign":  {from: put("%EF%BF%BD"), wantSubject: "\ufffd"},
		"nothing but blanks":       {from: put("+%20"), wantSubject: "%20%20", wantKey: "  "},
	} {
		t.Run(name, func(t *testing.T) {
			body := tc.from.aws(t)
			if tc.minio {
				body = tc.from.minio(t)
			}
			e := one(t, body)
			test.AssertEvent(t, e, test.IsValid(), test.HasSubject(tc.wantSubject), test.ContainsExactlyExtensions("traceparent"),
				test.HasTime(time.Date(2026, 11, 23, 6, 0, 0, 123e6, time.UTC)))
			require.True(t, events.IsObjectCreated(e.Type()))
			if tc.wantType != "" {
				test.AssertEvent(t, e, test.HasType(tc.wantType), test.HasSource(tc.wantSource))
			}
			require.JSONEq(t, string(encode(t, tc.from.record())), string(e.Data()), "the record as it came")
			_, key, err := events.ParseRecord(e.Data())
			require.NoError(t, err)
			require.Equal(t, orElse(tc.wantKey, tc.wantSubject), key)
			requireDeliverable(t, e)
		})
	}
}

func orElse(s, instead string) string {
	if s == "" {
		return instead
	}
	return s
}

// requireDeliverable sends e over HTTP in binary mode, whose headers bear the
// least, and compares what comes out.
func requireDeliverable(t *testing.T, e event.Event) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1/", nil)
	require.NoError(t, err)
	require.NoError(t, cehttp.WriteRequest(binding.WithForceBinary(t.Context()), (*binding.EventMessage)(&e), r))
	var wire bytes.Buffer
	require.NoError(t, r.Write(&wire))
	require.NotContains(t, strings.ToLower(wire.String()), "\nx-evil")
	for _, values := range r.Header {
		for _, v := range values {
			require.NotContains(t, v, "\n")
		}
	}
	got, err := binding.ToEvent(t.Context(), cehttp.NewMessageFromHttpRequest(r))
	require.NoError(t, err)
	require.Equal(t, e.ID(), got.ID())
	subject := spec.V1.AttributeFromKind(spec.Subject)
	require.Equal(t, subject.Get(e.Context), subject.Get(got.Context))
}

func TestTheIdOfANotification(t *testing.T) {
	first := one(t, put("a.parquet").aws(t)).ID()
	change := func(f func(*announced)) string {
		a := put("a.parquet")
		f(&a)
		return one(t, a.aws(t)).ID()
	}
	require.Equal(t, first, one(t, put("a.parquet").aws(t)).ID(), "announced twice")
	require.Equal(t, first, one(t, put("a.parquet").minio(t)).ID(), "in whatever shape")
	require.Equal(t, first, change(func(a *announced) { a.sequencer = "55aed6" }), "a sequencer without its zeros is the same")
	for name, other := range map[string]string{
		"another sequencer": change(func(a *announced) { a.sequencer = "0055AED7" }),
		"another eTag":      change(func(a *announced) { a.etag = "ffff" }),
		"another version":   change(func(a *announced) { a.version = "v2" }),
		"another key":       change(func(a *announced) { a.key = "b.parquet" }),
		"another bucket":    change(func(a *announced) { a.bucket = "other" }),
		"another region":    change(func(a *announced) { a.region = "us-east-1" }),
		"another event":     change(func(a *announced) { a.name = "ObjectCreated:Copy" }),
	} {
		require.NotEqual(t, first, other, name)
	}
	newline, literal := put("a%0Ab"), put("a%250Ab")
	require.NotEqual(t, one(t, newline.aws(t)).ID(), one(t, literal.aws(t)).ID(), "two keys that share a subject")
}

func TestSequencersOfOneKeyCompareAsText(t *testing.T) {
	ordered := []string{"9", "0A", "FF", "100", "0055AED6DCD90281E5", "155AED6DCD90281E5"}
	for i := range ordered[1:] {
		require.Less(t, events.Sequencer(ordered[i]), events.Sequencer(ordered[i+1]))
	}
	require.Equal(t, events.Sequencer("ab"), events.Sequencer("00AB"))
}

func TestAMessageOfSeveralRecordsGivesSeveralEvents(t *testing.T) {
	list, err := events.FromNotification(encode(t, map[string]any{"Records": []any{put("a.parquet").record(), put("b.parquet").record()}}))
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, "a.parquet", list[0].Subject())
	require.Equal(t, "b.parquet", list[1].Subject())
}

func TestTheSetUpMessageGivesNoEvent(t *testing.T) {
	list, err := events.FromNotification([]byte(`{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2026-11-23T06:00:00.000Z","Bucket":"landing"}`))
	require.NoError(t, err)
	require.Empty(t, list)
}

func TestNotificationsThatAreNone(t *testing.T) {
	broken := func(f func(*announced)) []byte {
		a := put("a.parquet")
		f(&a)
		return a.aws(t)
	}
	for name, tc := range map[string]struct {
		body       []byte
		wantInText string
	}{
		"nothing":                    {nil, "unexpected end of JSON"},
		"cut off":                    {put("a.parquet").aws(t)[:80], "unexpected end of JSON"},
		"a list":                     {[]byte(`[]`), "cannot unmarshal"},
		"no records":                 {[]byte(`{"hello":1}`), "no Records"},
		"empty records":              {[]byte(`{"Records":[]}`), "no Records"},
		"a record that is none":      {[]byte(`{"Records":["x"]}`), "record 0: not an S3 record"},
		"no bucket":                  {broken(func(a *announced) { a.bucket = "" }), `bucket ""`},
		"no key":                     {broken(func(a *announced) { a.key = "" }), `key ""`},
		"no event name":              {broken(func(a *announced) { a.name = "" }), `eventName ""`},
		"a key that is not escaped":  {broken(func(a *announced) { a.key = "100%.parquet" }), "is not query-escaped"},
		"an event name of two lines": {broken(func(a *announced) { a.name = "ObjectCreated:\nPut" }), "control characters"},
		"a source that is no URI":    {broken(func(a *announced) { a.source = "%zz" }), "source"},
		"a bucket of two lines":      {broken(func(a *announced) { a.bucket = "lan\nding" }), "source"},
	} {
		t.Run(name, func(t *testing.T) {
			list, err := events.FromNotification(tc.body)
			require.ErrorContains(t, err, "read S3 notification")
			require.ErrorContains(t, err, tc.wantInText)
			require.Nil(t, list)
		})
	}
}

func TestObjectCreatedTypes(t *testing.T) {
	require.True(t, events.IsObjectCreated("com.amazonaws.s3.ObjectCreated:Put"))
	require.True(t, events.IsObjectCreated("com.amazonaws.ObjectCreated:CompleteMultipartUpload"), "Ceph")
	require.False(t, events.IsObjectCreated("com.amazonaws.s3.ObjectRemoved:Delete"))
	require.False(t, events.IsObjectCreated(string(events.RunRequested)))
}

func FuzzFromNotification(f *testing.F) {
	for _, key := range []string{"a.parquet", "a+b%2Bc%20d", "%0A", "%FF", "+", "%C2%A0", url.QueryEscape(strings.Repeat("ü", 512))} {
		f.Add([]byte(`{"Records":[{"eventSource":"aws:s3","awsRegion":"x","eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":"` + key + `"}}}]}`))
	}
	f.Add([]byte(`{"Event":"s3:TestEvent"}`))
	f.Add([]byte(`{"Records":[null,{}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		list, err := events.FromNotification(body)
		if err != nil {
			require.Nil(t, list)
			return
		}
		for _, e := range list {
			require.NoError(t, e.Validate())
			_, _, err := events.ParseRecord(e.Data())
			require.NoError(t, err)
			requireDeliverable(t, e)
			var again event.Event
			require.NoError(t, json.Unmarshal(encode(t, e), &again))
			require.Equal(t, e.Subject(), again.Subject())
		}
	})
}
