package objects_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/require"

	"refit.dev/platform/objects"
)

// bundle is a store with a bucket that notifies (landing) and one that does
// not (refit).
type bundle struct {
	store  *objects.Store
	client *s3.Client
	heard  *ear
}

// ear keeps what it hears, and fails as long as fail is above zero.
type ear struct {
	mu      sync.Mutex
	records []objects.Record
	fail    atomic.Int32
}

func (e *ear) notify(_ context.Context, n objects.Notification) error {
	if e.fail.Add(-1) >= 0 {
		return errors.New("the broker is down")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.records = append(e.records, n.Records...)
	return nil
}

func (e *ear) all() []objects.Record {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]objects.Record(nil), e.records...)
}

func config(dir string, e *ear) objects.Config {
	return objects.Config{
		Dir:           dir,
		AccessKey:     "refit-test",
		SecretKey:     "a-secret-for-tests",
		Buckets:       []string{"landing", "refit"},
		NotifyBuckets: []string{"landing"},
		Notify:        e.notify,
	}
}

func setup(t *testing.T) bundle {
	t.Helper()
	e := &ear{}
	s, err := objects.Start(t.Context(), config(t.TempDir(), e))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return bundle{store: s, client: s.Client(), heard: e}
}

func (b bundle) put(t *testing.T, bucket, key, body string) *s3.PutObjectOutput {
	t.Helper()
	out, err := b.client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(body)})
	require.NoError(t, err)
	return out
}

func (b bundle) get(t *testing.T, bucket, key string) string {
	t.Helper()
	out, err := b.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	require.NoError(t, err)
	defer out.Body.Close()
	data, err := io.ReadAll(out.Body)
	require.NoError(t, err)
	return string(data)
}

func code(t *testing.T, err error) string {
	t.Helper()
	var api smithy.APIError
	require.ErrorAs(t, err, &api)
	return api.ErrorCode()
}

func TestOneOfSixteenCreatesTheObject(t *testing.T) {
	b := setup(t)
	var won, lost atomic.Int32
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			_, err := b.client.PutObject(t.Context(), &s3.PutObjectInput{
				Bucket: aws.String("refit"), Key: aws.String("claims/1"), Body: strings.NewReader("claim"), IfNoneMatch: aws.String("*"),
			})
			var api smithy.APIError
			switch {
			case err == nil:
				won.Add(1)
			case errors.As(err, &api) && api.ErrorCode() == "PreconditionFailed":
				lost.Add(1)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 1, won.Load())
	require.EqualValues(t, 15, lost.Load())
}

func TestIfMatchReadsOnlyTheNamedObject(t *testing.T) {
	b := setup(t)
	first := b.put(t, "refit", "a", "first")
	b.put(t, "refit", "a", "second")
	_, err := b.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("refit"), Key: aws.String("a"), IfMatch: first.ETag})
	require.Equal(t, "PreconditionFailed", code(t, err))
	_, err = b.client.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String("refit"), Key: aws.String("a"), Body: strings.NewReader("third"), IfMatch: first.ETag,
	})
	require.Equal(t, "PreconditionFailed", code(t, err))
	require.Equal(t, "second", b.get(t, "refit", "a"))
}

func TestPutIsAnnouncedAsAWSDoes(t *testing.T) {
	b := setup(t)
	out := b.put(t, "landing", "mail/all emails.parquet", "PAR1")
	b.put(t, "refit", "runs/1/mark", "{}")

	heard := b.heard.all()
	require.Len(t, heard, 1, "the other bucket is not announced")
	r := heard[0]
	require.Equal(t, objects.Record{
		EventVersion: "2.1",
		EventSource:  "aws:s3",
		AWSRegion:    "us-east-1",
		EventTime:    r.EventTime,
		EventName:    "ObjectCreated:Put",
		S3: objects.Entity{
			SchemaVersion:   "1.0",
			ConfigurationID: "refit",
			Bucket:          objects.Bucket{Name: "landing", ARN: "arn:aws:s3:::landing"},
			Object: objects.Object{
				Key:       "mail/all+emails.parquet",
				Size:      4,
				ETag:      strings.Trim(*out.ETag, `"`),
				Sequencer: r.S3.Object.Sequencer,
			},
		},
	}, r)
}

func TestOverwriteHasALaterSequencer(t *testing.T) {
	b := setup(t)
	b.put(t, "landing", "a", "1")
	b.put(t, "landing", "a", "2")
	heard := b.heard.all()
	require.Len(t, heard, 2)
	require.Less(t, heard[0].S3.Object.Sequencer, heard[1].S3.Object.Sequencer)
	require.NotEqual(t, heard[0].S3.Object.ETag, heard[1].S3.Object.ETag)
}

func TestFolderMarkerIsAnnounced(t *testing.T) {
	b := setup(t)
	b.put(t, "landing", "mail/", "")
	require.Equal(t, "mail/", b.heard.all()[0].S3.Object.Key)
	require.Zero(t, b.heard.all()[0].S3.Object.Size)
}

func TestCopyIsAnnouncedOnce(t *testing.T) {
	b := setup(t)
	b.put(t, "refit", "source", "content")
	out, err := b.client.CopyObject(t.Context(), &s3.CopyObjectInput{
		Bucket: aws.String("landing"), Key: aws.String("copy"), CopySource: aws.String("refit/source"),
	})
	require.NoError(t, err)
	heard := b.heard.all()
	require.Len(t, heard, 1)
	require.Equal(t, "ObjectCreated:Copy", heard[0].EventName)
	require.Equal(t, "copy", heard[0].S3.Object.Key)
	require.EqualValues(t, len("content"), heard[0].S3.Object.Size)
	require.Equal(t, strings.Trim(*out.CopyObjectResult.ETag, `"`), heard[0].S3.Object.ETag)
}

func TestMultipartUploadIsAnnouncedAtItsEnd(t *testing.T) {
	b := setup(t)
	bucket, key := aws.String("landing"), aws.String("large.parquet")
	upload, err := b.client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: bucket, Key: key})
	require.NoError(t, err)
	var parts []types.CompletedPart
	for i, size := range []int{5 << 20, 1 << 10} {
		part, err := b.client.UploadPart(t.Context(), &s3.UploadPartInput{
			Bucket: bucket, Key: key, UploadId: upload.UploadId, PartNumber: aws.Int32(int32(i + 1)), Body: bytes.NewReader(make([]byte, size)),
		})
		require.NoError(t, err)
		parts = append(parts, types.CompletedPart{ETag: part.ETag, PartNumber: aws.Int32(int32(i + 1)), ChecksumCRC32: part.ChecksumCRC32})
	}
	require.Empty(t, b.heard.all(), "there is no object yet")

	out, err := b.client.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
		Bucket: bucket, Key: key, UploadId: upload.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	})
	require.NoError(t, err)
	heard := b.heard.all()
	require.Len(t, heard, 1)
	require.Equal(t, "ObjectCreated:CompleteMultipartUpload", heard[0].EventName)
	require.EqualValues(t, 5<<20+1<<10, heard[0].S3.Object.Size)
	require.Equal(t, strings.Trim(*out.ETag, `"`), heard[0].S3.Object.ETag)
}

func TestFailedNotificationAnswersSlowDown(t *testing.T) {
	b := setup(t)
	once := s3.New(b.client.Options(), func(o *s3.Options) { o.RetryMaxAttempts = 1 })
	b.heard.fail.Store(1)
	_, err := once.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("landing"), Key: aws.String("a"), Body: strings.NewReader("kept")})
	require.Equal(t, "SlowDown", code(t, err))
	require.ErrorContains(t, err, "StatusCode: 503")
	require.Empty(t, b.heard.all())
	require.Equal(t, "kept", b.get(t, "landing", "a"), "the sweep finds it")
}

func TestClientTriesAgainAfterAFailedNotification(t *testing.T) {
	b := setup(t)
	b.heard.fail.Store(1)
	b.put(t, "landing", "a", "again")
	require.Len(t, b.heard.all(), 1)
}

func TestRefusedWriteIsNotAnnounced(t *testing.T) {
	b := setup(t)
	b.put(t, "landing", "a", "first")
	_, err := b.client.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String("landing"), Key: aws.String("a"), Body: strings.NewReader("second"), IfNoneMatch: aws.String("*"),
	})
	require.Equal(t, "PreconditionFailed", code(t, err))
	require.Len(t, b.heard.all(), 1)
}

func TestKeysKeepTheirLetters(t *testing.T) {
	b := setup(t)
	for _, key := range []string{
		"plain", "with space", "a+b", "100%", "%20", "é/ü/日本", "q?x=1&y#z", "semi;colon:at@", `quote"and'`, "tilde~dot.._-",
	} {
		t.Run(key, func(t *testing.T) {
			before := len(b.heard.all())
			b.put(t, "landing", key, key)
			require.Equal(t, key, b.get(t, "landing", key))
			heard := b.heard.all()
			require.Len(t, heard, before+1)
			decoded, err := url.QueryUnescape(heard[before].S3.Object.Key)
			require.NoError(t, err)
			require.Equal(t, key, decoded)
		})
	}
}

func TestObjectsOutliveARestart(t *testing.T) {
	dir, e := t.TempDir(), &ear{}
	where, err := os.Getwd()
	require.NoError(t, err)
	s, err := objects.Start(t.Context(), config(dir, e))
	require.NoError(t, err)
	first := bundle{store: s, client: s.Client(), heard: e}
	out := first.put(t, "refit", "kept", "content")
	require.NoError(t, s.Close())
	require.NoError(t, s.Close(), "closing twice is harmless")
	now, err := os.Getwd()
	require.NoError(t, err)
	require.Equal(t, where, now, "the process is back where it was")

	s, err = objects.Start(t.Context(), config(dir, e))
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	second := bundle{store: s, client: s.Client(), heard: e}
	require.Equal(t, "content", second.get(t, "refit", "kept"))
	head, err := second.client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("refit"), Key: aws.String("kept")})
	require.NoError(t, err)
	require.Equal(t, *out.ETag, *head.ETag)
}

// TestKeysThatNoFileCanHave documents the limits of objects that are files. A
// key that is refused is not announced, and disturbs nothing that is there.
func TestKeysThatNoFileCanHave(t *testing.T) {
	b := setup(t)
	b.put(t, "landing", "a", "file")
	b.put(t, "landing", "d/e", "file")
	long := strings.Repeat("k", 200) + "/"
	for key, want := range map[string]struct{ code, text string }{
		"a/b":                    {"ObjectParentIsFile", `key "a/b": the part before one of its slashes is an object, and objects are files here, so nothing can stand below it: choose another key or delete`},
		"d":                      {"ExistingObjectIsDirectory", `key "d": other objects stand below it, and objects are files here, so it cannot be one itself: choose another key or delete`},
		"d//e":                   {"InvalidArgument", `key "d//e": between its slashes is the part ""`},
		"./d/e":                  {"InvalidArgument", `key "./d/e": between its slashes is the part "."`},
		"x\ny":                   {"InvalidArgument", `key "x\ny": it holds control characters`},
		"x\xffy":                 {"InvalidArgument", `key "x\xffy": it holds control characters or is no UTF-8`},
		strings.Repeat("k", 256): {"KeyTooLongError", "between its slashes is a part of 256 bytes: objects are files here, so accepted are up to 255"},
		strings.Repeat(long, 6):  {"KeyTooLongError", "it has 1206 bytes: accepted are 1 to 1024"},
		strings.Repeat("ü", 128): {"KeyTooLongError", "a part of 256 bytes"},
		"d/../e":                 {"InvalidArgument", `the part ".."`},
	} {
		t.Run(key, func(t *testing.T) {
			_, err := b.client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("landing"), Key: &key, Body: strings.NewReader("new")})
			require.Equal(t, want.code, code(t, err))
			require.ErrorContains(t, err, want.text)
			_, err = b.client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String("landing"), Key: &key})
			require.Equal(t, want.code == "ObjectParentIsFile" || want.code == "ExistingObjectIsDirectory", err == nil, "an upload in parts meets a file or folder at its end")
			_, err = b.client.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: aws.String("landing"), Key: &key, CopySource: aws.String("landing/a")})
			require.Equal(t, want.code, code(t, err))
		})
	}
	require.Len(t, b.heard.all(), 2)
	require.Equal(t, "file", b.get(t, "landing", "a"))
	require.Equal(t, "file", b.get(t, "landing", "d/e"))
}

func TestTheLongestKey(t *testing.T) {
	b := setup(t)
	part := strings.Repeat("k", 255)
	for _, key := range []string{part, "d/" + strings.Join([]string{part, part, part, part[:252], "x"}, "/"), strings.Repeat("ü/", 341) + "k"} {
		require.LessOrEqual(t, len(key), 1024)
		b.put(t, "landing", key, "long")
		require.Equal(t, "long", b.get(t, "landing", key))
	}
	require.Len(t, b.heard.all(), 3)
}

func TestStrangersAreRefused(t *testing.T) {
	b := setup(t)
	host, _, err := net.SplitHostPort(strings.TrimPrefix(b.store.URL(), "http://"))
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1", host)
	stranger := s3.New(b.client.Options(), func(o *s3.Options) { o.Credentials = aws.AnonymousCredentials{} })
	_, err = stranger.ListBuckets(t.Context(), &s3.ListBucketsInput{})
	require.Equal(t, "AccessDenied", code(t, err))
}

func TestStartRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	tests := map[string]struct {
		change func(*objects.Config)
		want   string
	}{
		"no folder":               {func(c *objects.Config) { c.Dir = "" }, "Dir is empty"},
		"no secret":               {func(c *objects.Config) { c.SecretKey = "" }, "SecretKey is empty"},
		"an address of the world": {func(c *objects.Config) { c.Host = "0.0.0.0" }, `"0.0.0.0" is not a loopback address`},
		"a port out of range":     {func(c *objects.Config) { c.Port = -1 }, "Port -1"},
		"a port in use":           {func(c *objects.Config) { c.Port = taken.Addr().(*net.TCPAddr).Port }, "address already in use"},
		"nobody to notify":        {func(c *objects.Config) { c.Notify = nil }, "NotifyBuckets without Notify"},
		"a bucket without a name": {func(c *objects.Config) { c.Buckets = []string{"Not A Bucket"} }, "make bucket Not A Bucket"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := config(t.TempDir(), &ear{})
			test.change(&c)
			_, err := objects.Start(t.Context(), c)
			require.ErrorContains(t, err, test.want)
			require.NotContains(t, err.Error(), "a-secret-for-tests")
		})
	}
	s, err := objects.Start(t.Context(), config(t.TempDir(), &ear{}))
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	_, err = objects.Start(t.Context(), config(t.TempDir(), &ear{}))
	require.ErrorContains(t, err, "running in this process already")
}
