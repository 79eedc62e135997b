package conformance_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"

	"refit.dev/platform/objects"
	"refit.dev/stage/store"
	"refit.dev/stage/store/storetest"
)

// The bucket in which every decision of refit is made, over the S3 protocol
// against the store that refit up embeds.
func TestS3AgainstTheEmbeddedStore(t *testing.T) {
	var buckets []string
	for i := range 16 { // the suite asks for fewer
		buckets = append(buckets, fmt.Sprintf("bucket-%d", i))
	}
	heard := make(chan objects.Notification, 1)
	embedded, err := objects.Start(t.Context(), objects.Config{
		Dir: t.TempDir(), AccessKey: "refit", SecretKey: "a secret of this test", Buckets: append(buckets, "landing"),
		NotifyBuckets: []string{"landing"}, Notify: func(_ context.Context, n objects.Notification) error {
			heard <- n
			return nil
		},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, embedded.Close()) })
	client := store.S3Config{
		Endpoint: embedded.URL(), Region: "us-east-1", AccessKey: "refit", SecretKey: "a secret of this test",
	}.Client()

	storetest.Run(t, func(t *testing.T) store.Bucket {
		t.Helper()
		require.NotEmpty(t, buckets)
		var name string
		name, buckets = buckets[0], buckets[1:]
		return store.NewS3(client, name)
	})

	t.Run("tells metadata in lower case and no version", func(t *testing.T) {
		_, err := client.PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: aws.String("landing"), Key: aws.String("a b.parquet"), Metadata: map[string]string{"Refit-Seed": "7"},
		})
		require.NoError(t, err)
		info, err := store.NewS3(client, "landing").Head(t.Context(), "a b.parquet")
		require.NoError(t, err)
		require.Equal(t, map[string]string{"refit-seed": "7"}, info.Metadata)
		require.Empty(t, info.Version)
		record := (<-heard).Records[0]
		require.Equal(t, info.ETag, record.S3.Object.ETag, "the event names the version that Head finds")

		listed, err := store.NewS3(client, "landing").List(t.Context(), "")
		require.NoError(t, err)
		require.Len(t, listed, 1)
		require.Equal(t, info.ETag, listed[0].ETag, "and so does a list, for the sweep")
		require.Equal(t, info.LastModified.Unix(), listed[0].LastModified.Unix())
	})
}
