// Package store is the little that refit asks of an object store: reads, and
// writes that say what they expect to find. Everything that refit decides, it
// decides by such a write.
package store

import (
	"context"
	"errors"
	"time"
)

// What a store answers when the world is not as the caller expected.
var (
	// ErrNotFound: there is no such object.
	ErrNotFound = errors.New("object not found")
	// ErrExists: Create found an object, which it left alone.
	ErrExists = errors.New("object exists")
	// ErrChanged: Replace found another version than the one named.
	ErrChanged = errors.New("object changed")
)

// Object is one object's content.
type Object struct {
	Body []byte
	ETag string
}

// Info describes one object.
type Info struct {
	Key  string
	ETag string
	// Version is empty in a bucket without versions.
	Version      string
	Size         int64
	LastModified time.Time
	// Metadata is the user's, names in lower case without "x-amz-meta-".
	// Only Head fills it.
	Metadata map[string]string
}

// Bucket is one bucket. It is safe for concurrent use, and of any number of
// concurrent Creates of one key just one returns nil. Every backend passes the
// suite in storetest.
type Bucket interface {
	// Get reads a whole object, or fails with ErrNotFound.
	Get(ctx context.Context, key string) (Object, error)
	// Head describes an object, or fails with ErrNotFound.
	Head(ctx context.Context, key string) (Info, error)
	// Put writes whatever is there now.
	Put(ctx context.Context, key string, body []byte) error
	// Create writes only if there is no object, or fails with ErrExists.
	Create(ctx context.Context, key string, body []byte) error
	// Replace writes only over the version with that ETag, or fails with
	// ErrChanged.
	Replace(ctx context.Context, key string, body []byte, etag string) error
	// List describes the objects below a prefix, in the order of their keys.
	List(ctx context.Context, prefix string) ([]Info, error)
}
