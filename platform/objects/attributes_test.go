package objects

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/require"
)

// TestStoreWorksWithoutExtendedAttributes stands in for a file system without
// them: metadata then lies in a folder of its own.
func TestStoreWorksWithoutExtendedAttributes(t *testing.T) {
	dir := t.TempDir()
	s, err := start(t.Context(), Config{
		Dir: dir, AccessKey: "refit-test", SecretKey: "a-secret-for-tests", Buckets: []string{"landing"},
		Notify: func(context.Context, Notification) error { return nil }, NotifyBuckets: []string{"landing"},
	}, func(string) error { return errors.New("not supported") })
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()

	put := &s3.PutObjectInput{
		Bucket: aws.String("landing"), Key: aws.String("mail/a.parquet"), Body: strings.NewReader("content"),
		Metadata: map[string]string{"f1-threshold": "0.9"}, IfNoneMatch: aws.String("*"),
	}
	out, err := s.Client().PutObject(t.Context(), put)
	require.NoError(t, err)
	put.Body = strings.NewReader("another")
	_, err = s.Client().PutObject(t.Context(), put)
	var api smithy.APIError
	require.ErrorAs(t, err, &api)
	require.Equal(t, "PreconditionFailed", api.ErrorCode())

	got, err := s.Client().GetObject(t.Context(), &s3.GetObjectInput{Bucket: put.Bucket, Key: put.Key})
	require.NoError(t, err)
	defer got.Body.Close()
	data, err := io.ReadAll(got.Body)
	require.NoError(t, err)
	require.Equal(t, "content", string(data))
	require.Equal(t, *out.ETag, *got.ETag)
	require.Equal(t, put.Metadata, got.Metadata)
	require.DirExists(t, filepath.Join(dir, "attributes", "landing"))
}
