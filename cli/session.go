package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"refit.dev/platform/host"
	"refit.dev/platform/journal"
	"refit.dev/stage/store"
)

// Journal is what the commands read of the journal, see [journal.Journal].
type Journal interface {
	Events(ctx context.Context, f journal.Filter) ([]event.Event, error)
	Follow(ctx context.Context, f journal.Filter, do func(event.Event) error) error
}

var _ Journal = (*journal.Journal)(nil)

// Session is a connection to a running platform.
type Session struct {
	// Connection says where everything is; its credentials are never shown.
	Connection host.Connection
	Journal    Journal
	// State and Landing are the buckets of refit's state and of uploads.
	State, Landing store.Bucket
	// Upload writes a file into Landing.
	Upload func(ctx context.Context, key string, file *os.File, metadata map[string]string) error
	// Remove deletes an object of State.
	Remove func(ctx context.Context, key string) error
	// Close ends the connection.
	Close func()
}

// Dial reaches the platform that runs on the data folder dir. It fails with
// host.ErrNotRunning if there is none.
func Dial(ctx context.Context, dir string) (*Session, error) {
	c, err := host.ReadConnection(dir)
	if err != nil {
		return nil, err
	}
	return connect(ctx, c, dir)
}

// connect reaches a platform by its connection.
func connect(ctx context.Context, c host.Connection, dir string) (*Session, error) {
	if err := listening(ctx, c.NATS.URL); err != nil {
		return nil, fmt.Errorf("%w on %s (the last one, process %d, left its connection file): start one with refit up", host.ErrNotRunning, dir, c.PID)
	}
	conn, err := nats.Connect(c.NATS.URL, nats.Token(c.NATS.Token), nats.Name("refit cli"), nats.MaxReconnects(10), nats.ReconnectWait(time.Second))
	if err != nil {
		return nil, fmt.Errorf("connect to NATS at %s: %w: refit doctor says what is wrong", c.NATS.URL, err)
	}
	js, err := jetstream.New(conn)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("connect to JetStream: %w", err)
	}
	j, err := journal.Attach(ctx, js)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("%w: refit doctor says what is wrong", err)
	}
	client := clientOf(c.S3)
	return &Session{
		Connection: c, Journal: j, Close: conn.Close,
		State: store.NewS3(client, c.S3.State), Landing: store.NewS3(client, c.S3.Landing),
		Upload: uploader(client, c.S3.Landing), Remove: remover(client, c.S3.State),
	}, nil
}

func clientOf(c host.S3) *s3.Client {
	return store.S3Config{Endpoint: c.Endpoint, Region: c.Region, AccessKey: c.AccessKey, SecretKey: c.SecretKey}.Client()
}

// listening tells whether anybody listens at a URL; a connection file of a
// platform that was killed names a port where nobody does.
func listening(ctx context.Context, address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return fmt.Errorf("address %q: %w", address, err)
	}
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", u.Host)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	if err == nil {
		return conn.Close()
	}
	return nil
}

// maxUpload is the most that S3 takes in one request.
const maxUpload = 5 << 30

func uploader(client *s3.Client, bucket string) func(context.Context, string, *os.File, map[string]string) error {
	return func(ctx context.Context, key string, file *os.File, metadata map[string]string) error {
		info, err := file.Stat()
		if err != nil {
			return fmt.Errorf("upload %s: %w", file.Name(), err)
		}
		size := info.Size()
		if size > maxUpload {
			return fmt.Errorf("upload %s: it has %d bytes, accepted are %d: upload it in parts, with aws s3 cp for example, to s3://%s/%s", file.Name(), size, int64(maxUpload), bucket, key)
		}
		_, err = client.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: file, ContentLength: &size, Metadata: metadata})
		if err != nil {
			return fmt.Errorf("upload %s to s3://%s/%s: %w", file.Name(), bucket, key, err)
		}
		return nil
	}
}

func remover(client *s3.Client, bucket string) func(context.Context, string) error {
	return func(ctx context.Context, key string) error {
		if _, err := client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: &key}); err != nil {
			return fmt.Errorf("delete s3://%s/%s: %w", bucket, key, err)
		}
		return nil
	}
}
