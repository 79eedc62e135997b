package cluster_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"refit.dev/events"
	"refit.dev/platform/journal"
	"refit.dev/platform/service"
	"refit.dev/stage/store"
	"refit.dev/test/clustertest"
)

// TestMinIOsNotificationsReachTheBroker has a real MinIO, which is not the
// install's store, announce objects of a bucket called landing. refit's verdict
// on each is that it is gone, under the key as it was written.
func TestMinIOsNotificationsReachTheBroker(t *testing.T) {
	t.Parallel()
	p := quick.on(t)
	client := startMinIO(t, p.Address(t, "http://source")+"/notifications", p.NotificationToken)
	folder := uuid.NewString()
	for _, name := range []string{
		"plain.parquet", "with a space.parquet", "a+b.parquet", "100%.parquet", "%20.parquet", "größe/日本語 🚀.parquet", "a&b=c?d#e.parquet", "'quoted' \"twice\".parquet",
	} {
		key := folder + "/" + name
		_, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: new("landing"), Key: &key, Body: strings.NewReader("mail")})
		require.NoError(t, err, key)
		announced := p.Until(t, journal.Filter{}, func(e event.Event) bool { return events.IsObjectCreated(e.Type()) && e.Subject() == key })
		require.Equal(t, "minio:s3..landing", announced.Source())
		verdict := p.CausedBy(t, announced.ID())
		require.Equal(t, string(events.LandingOverwritten), verdict.Type(), string(verdict.Data()))
		require.Equal(t, "s3://landing/"+key, dataOf[events.Landing](t, verdict).URI)
	}
}

// startMinIO runs MinIO with a bucket landing that posts its notifications to
// url, until the test ends.
func startMinIO(t *testing.T, url, token string) *s3.Client {
	t.Helper()
	port, err := service.FreePort("127.0.0.1")
	require.NoError(t, err)
	address := "127.0.0.1:" + strconv.Itoa(port)
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	command := exec.CommandContext(ctx, minio(t), "server", "--quiet", "--address", address, filepath.Join(dir, "data"))
	command.Env = append(os.Environ(), "MINIO_ROOT_USER=tester", "MINIO_ROOT_PASSWORD="+token, "MINIO_BROWSER=off", "MINIO_UPDATE=off",
		"MINIO_NOTIFY_WEBHOOK_ENABLE_REFIT=on", "MINIO_NOTIFY_WEBHOOK_ENDPOINT_REFIT="+url,
		"MINIO_NOTIFY_WEBHOOK_AUTH_TOKEN_REFIT="+token, "MINIO_NOTIFY_WEBHOOK_QUEUE_DIR_REFIT="+filepath.Join(dir, "queue"))
	var said strings.Builder
	command.Stdout, command.Stderr = &said, &said
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 10 * time.Second
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		cancel()
		_ = command.Wait() // by the signal
		if t.Failed() {
			t.Log(said.String())
		}
	})
	client := store.S3Config{Endpoint: "http://" + address, Region: "us-east-1", AccessKey: "tester", SecretKey: token}.Client()
	clustertest.Await(t, "MinIO", func() error {
		_, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: new("landing")})
		return err
	})
	_, err = client.PutBucketNotificationConfiguration(t.Context(), &s3.PutBucketNotificationConfigurationInput{
		Bucket: new("landing"), NotificationConfiguration: &types.NotificationConfiguration{
			QueueConfigurations: []types.QueueConfiguration{{
				QueueArn: new("arn:minio:sqs::REFIT:webhook"), Events: []types.Event{types.EventS3ObjectCreated},
			}},
		},
	})
	require.NoError(t, err)
	return client
}

// minio is the path of MinIO's binary.
func minio(t *testing.T) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "./minio")
	command.Stderr = os.Stderr
	path, err := command.Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(path))
}
