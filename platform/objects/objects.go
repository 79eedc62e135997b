// Package objects runs an S3 endpoint (versitygw) inside the process.
//
// Objects are files below Config.Dir and survive kill -9 and restart. Writes
// into the buckets of Config.NotifyBuckets are made known before they are
// answered: an upload that was answered 200 has its event.
//
// Limits that come with files: key a cannot stand beside key a/b, because one
// path cannot be file and folder at once, and a part of a key between slashes
// has 1 to 255 bytes, no control characters, and is neither . nor .. Such a
// write is refused with a sentence that names the key. There are no versions and
// no own notification settings of a bucket.
//
// The gateway below works relative to the working directory of the process:
// [Start] moves the process into Config.Dir and [Store.Close] moves it back. A
// program that uses this package makes its paths absolute first and names the
// folder of every child process. Only one store runs in a process at a time.
package objects

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
	"github.com/versity/versitygw/s3api"
)

// running guards the gateway's process-wide state, of which the working
// directory is a part.
var running atomic.Bool

// Store is a running S3 endpoint.
type Store struct {
	config     Config
	attributes func(folder string) error
	address    string
	back       string
	stop       context.CancelFunc
	done       chan struct{}
	err        error
	closed     sync.Once
}

// Start serves c.Dir. It returns when the port answers and the buckets are
// there; ctx bounds that wait and nothing else.
func Start(ctx context.Context, c Config) (*Store, error) {
	return start(ctx, c, meta.XattrMeta{}.Test)
}

// start is Start with the question whether a folder's file system has extended
// attributes.
func start(ctx context.Context, c Config, attributes func(folder string) error) (*Store, error) {
	c = c.WithDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	if !running.CompareAndSwap(false, true) {
		return nil, errors.New("objects: a store is running in this process already; close it first")
	}
	s, err := open(c)
	if err != nil {
		running.Store(false)
		return nil, err
	}
	s.attributes = attributes
	if err := s.serve(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// open puts the folders in place and picks the port. Its result has no gateway
// yet.
func open(c Config) (*Store, error) {
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("objects: find the store's folder: %w", err)
	}
	c.Dir = dir
	if err := os.MkdirAll(filepath.Join(dir, "buckets"), 0o700); err != nil {
		return nil, fmt.Errorf("objects: make the store's folder: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil { //nolint:gosec // a folder that cannot be searched holds nothing
		return nil, fmt.Errorf("objects: close the store's folder to others: %w", err)
	}
	back, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("objects: find the working directory: %w", err)
	}
	// Listening here first tells a port in use with an error of its own and
	// picks a free one; the gateway takes an address and no listener.
	l, err := net.Listen("tcp", net.JoinHostPort(c.Host, strconv.Itoa(c.Port)))
	if err != nil {
		return nil, fmt.Errorf("objects: %w", err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, fmt.Errorf("objects: free %s for the gateway: %w", address, err)
	}
	return &Store{config: c, address: address, back: back, done: make(chan struct{})}, nil
}

// serve starts the gateway and waits for it.
func (s *Store) serve(ctx context.Context) error {
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	files, err := s.files()
	if err != nil {
		close(s.done)
		return err
	}
	listening := make(chan struct{})
	go func() {
		defer close(s.done)
		s.err = embedgw.RunVersityGW(run, files, s.gateway(func() { close(listening) }))
	}()
	select {
	case <-listening:
	case <-s.done:
		return fmt.Errorf("objects: serve %s: %w", s.address, s.err)
	case <-ctx.Done():
		return fmt.Errorf("objects: serve %s: %w", s.address, ctx.Err())
	}
	return s.makeBuckets(ctx)
}

// files is the gateway's backend: files below the folder, with their metadata
// in extended attributes, or in a folder beside them on a file system that has
// none.
func (s *Store) files() (backend.Backend, error) {
	root := filepath.Join(s.config.Dir, "buckets")
	var attributes meta.MetadataStorer = meta.XattrMeta{}
	if err := s.attributes(root); err != nil {
		side := filepath.Join(s.config.Dir, "attributes")
		if err := os.MkdirAll(side, 0o700); err != nil {
			return nil, fmt.Errorf("objects: make the folder of the attributes: %w", err)
		}
		if attributes, err = meta.NewSideCar(side); err != nil {
			return nil, fmt.Errorf("objects: open the folder of the attributes: %w", err)
		}
	}
	files, err := posix.New(root, attributes, posix.PosixOpts{
		// Zero is no default here: every copy would be too large.
		CopyObjectThreshold: 5 << 30,
		ValidateBucketNames: true,
	})
	if err != nil {
		return nil, fmt.Errorf("objects: open the store's folder: %w", err)
	}
	return &announcing{Backend: files, config: s.config}, nil
}

func (s *Store) gateway(listening func()) *embedgw.Config {
	return &embedgw.Config{
		RootUserAccess: s.config.AccessKey,
		RootUserSecret: s.config.SecretKey,
		// What the gateway would take as well, but with a line on stdout.
		IAMService: auth.NewIAMServiceSingle(auth.Account{
			Access: s.config.AccessKey, Secret: s.config.SecretKey, Role: auth.RoleAdmin,
		}),
		Region:         s.config.Region,
		Ports:          []string{s.address},
		MaxConnections: 4096,
		MaxRequests:    1024,
		// Never negative, and the limit of S3.
		MultipartMaxParts: 10000,
		// With it, clients that reuse a connection fail now and then in the
		// middle of a write.
		KeepAlive: false,
		Quiet:     true,
		S3Options: []s3api.Option{s3api.WithOnListen(listening)},
	}
}

func (s *Store) makeBuckets(ctx context.Context) error {
	client := s.Client()
	for _, bucket := range s.config.Buckets {
		if _, err := client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &bucket}); err == nil {
			continue
		}
		if _, err := client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
			return fmt.Errorf("objects: make bucket %s: %w", bucket, err)
		}
	}
	return nil
}

// URL is the endpoint. Buckets are part of the path (path-style addressing).
func (s *Store) URL() string { return "http://" + s.address }

// Done is closed when the endpoint no longer serves, by [Store.Close] or by a
// failure, which Close answers.
func (s *Store) Done() <-chan struct{} { return s.done }

// Close ends the endpoint, waits for requests that are under way (at most
// 10 s) and moves the process back to where it was.
func (s *Store) Close() error {
	var err error
	s.closed.Do(func() {
		s.stop()
		<-s.done
		err = s.err
		err = errors.Join(err, os.Chdir(s.back))
		running.Store(false)
	})
	if err != nil {
		return fmt.Errorf("objects: close: %w", err)
	}
	return nil
}
