package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"refit.dev/platform/cluster"
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
	// Broker returns where events are posted.
	Broker func(ctx context.Context) (string, error)
	// Log opens what a workload has written so far. It fails with
	// fs.ErrNotExist if that is nothing.
	Log func(ctx context.Context, workload string) (io.ReadCloser, error)
	// Page is where people see a page of MLflow, and the command, if any, that
	// makes it visible to them.
	Page func(address string) (page, command string)
	// Close ends the connection.
	Close func()
}

// connect reaches the platform that is asked for: the one in a cluster if a
// context is named, else the one that runs on the data folder.
func (a *App) connect(ctx context.Context) (*Session, error) {
	if !a.inCluster() {
		return a.Connect(ctx, a.dir)
	}
	c, err := a.OpenCluster(a.place)
	if err != nil {
		return nil, err
	}
	session, err := dialCluster(ctx, c)
	if err != nil {
		c.Close()
		return nil, err
	}
	return session, nil
}

// inCluster tells whether commands mean a refit in a cluster.
func (a *App) inCluster() bool { return a.place.Context != "" }

// command is a command line of refit that means the same platform as this one.
func (a *App) command(line string) string {
	line = "refit " + line
	if a.inCluster() {
		line += " --context " + a.place.Context
		if a.place.Namespace != cluster.DefaultNamespace {
			line += " --namespace " + a.place.Namespace
		}
	}
	return line
}

// Dial reaches the platform that runs on the data folder dir. It fails with
// host.ErrNotRunning if there is none.
func Dial(ctx context.Context, dir string) (*Session, error) {
	c, err := host.ReadConnection(dir)
	if err != nil {
		return nil, err
	}
	if err := listening(ctx, c.NATS.URL); err != nil {
		return nil, fmt.Errorf("%w on %s (the last one, process %d, left its connection file): start one with refit up", host.ErrNotRunning, dir, c.PID)
	}
	s, err := attach(ctx, c, nats.MaxReconnects(10))
	if err != nil {
		return nil, fmt.Errorf("%w: refit doctor says what is wrong", err)
	}
	s.Broker = func(context.Context) (string, error) { return c.Broker, nil }
	s.Log = func(_ context.Context, workload string) (io.ReadCloser, error) {
		return os.Open(filepath.Join(dir, "workloads", workload+".log"))
	}
	s.Page = func(address string) (string, string) { return address, "" }
	return s, nil
}

// patientReconnects is how often, a second apart, a session in a cluster comes
// back to NATS: a pod takes its time to start somewhere else.
const patientReconnects = 180

// dialCluster reaches the refit in a cluster. The session's end is the
// cluster's.
func dialCluster(ctx context.Context, c *cluster.Cluster) (*Session, error) {
	connection, err := c.Connect(ctx)
	if err != nil {
		return nil, err
	}
	s, err := attach(ctx, connection, nats.MaxReconnects(patientReconnects), nats.IgnoreDiscoveredServers())
	if err != nil {
		return nil, fmt.Errorf("%w: refit doctor --context %s says what is wrong", c.Trouble(err), c.Context())
	}
	closeNATS := s.Close
	s.Close = func() {
		closeNATS()
		c.Close()
	}
	s.Broker = func(ctx context.Context) (string, error) { return reachBroker(ctx, c) }
	s.Log = c.Log
	s.Page = func(address string) (string, string) { return c.Page(address, mlflowPort) }
	return s, nil
}

// mlflowPort is the port of this machine that people forward to MLflow.
const mlflowPort = 5000

// reachBroker is only for those who send something: the broker's pods are in a
// namespace of their own, for which a reader needs no rights.
func reachBroker(ctx context.Context, c *cluster.Cluster) (string, error) {
	address, err := c.Broker(ctx)
	if err != nil {
		return "", err
	}
	return c.Address(ctx, address)
}

// attach reaches NATS and the object store of a platform by its connection.
func attach(ctx context.Context, c host.Connection, options ...nats.Option) (*Session, error) {
	options = append(options, nats.Token(c.NATS.Token), nats.Name("refit cli"), nats.ReconnectWait(time.Second))
	conn, err := nats.Connect(c.NATS.URL, options...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS at %s: %w", c.NATS.URL, err)
	}
	js, err := jetstream.New(conn)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("connect to JetStream: %w", err)
	}
	j, err := journal.Attach(ctx, js)
	if err != nil {
		conn.Close()
		return nil, err
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
			return fmt.Errorf("upload %s to s3://%s/%s: %w", file.Name(), bucket, key, answered(err))
		}
		return nil
	}
}

// answered is what the store said, where it is at fault with the request: the
// SDK puts ids before it that tell a person nothing.
func answered(err error) error {
	var api smithy.APIError
	if errors.As(err, &api) && api.ErrorMessage() != "" {
		return fmt.Errorf("%s: %s", api.ErrorCode(), api.ErrorMessage())
	}
	return err
}

func remover(client *s3.Client, bucket string) func(context.Context, string) error {
	return func(ctx context.Context, key string) error {
		if _, err := client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: &key}); err != nil {
			return fmt.Errorf("delete s3://%s/%s: %w", bucket, key, err)
		}
		return nil
	}
}
