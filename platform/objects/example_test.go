package objects_test

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"refit.dev/platform/objects"
)

func Example() {
	dir, err := os.MkdirTemp("", "objects")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)

	ctx := context.Background()
	store, err := objects.Start(ctx, objects.Config{
		Dir: dir, AccessKey: "refit", SecretKey: "from a 0600 file",
		Buckets:       []string{"landing"},
		NotifyBuckets: []string{"landing"},
		Notify: func(_ context.Context, n objects.Notification) error {
			r := n.Records[0]
			fmt.Println(r.EventName, r.S3.Bucket.Name, r.S3.Object.Key, r.S3.Object.Size)
			return nil
		},
	})
	if err != nil {
		panic(err)
	}
	defer store.Close()

	_, err = store.Client().PutObject(ctx, &s3.PutObjectInput{
		Bucket: aws.String("landing"), Key: aws.String("all emails.parquet"), Body: strings.NewReader("PAR1"),
	})
	if err != nil {
		panic(err)
	}
	// Output: ObjectCreated:Put landing all+emails.parquet 4
}
