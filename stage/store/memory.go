package store

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Memory is a Bucket in memory, for tests. The zero value is empty and ready.
type Memory struct {
	mu      sync.Mutex
	objects map[string]memoryObject
}

type memoryObject struct {
	Object
	modified time.Time
	metadata map[string]string
}

var _ Bucket = (*Memory)(nil)

// Upload writes an object with the user's metadata, as a client outside refit
// does.
func (m *Memory) Upload(key string, body []byte, metadata map[string]string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.write(key, body, metadata)
}

// Remove deletes an object.
func (m *Memory) Remove(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objects, key)
}

// Get reads a whole object.
func (m *Memory) Get(_ context.Context, key string) (Object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o, found := m.objects[key]
	if !found {
		return Object{}, ErrNotFound
	}
	return Object{Body: bytes.Clone(o.Body), ETag: o.ETag}, nil
}

// Head describes an object.
func (m *Memory) Head(_ context.Context, key string) (Info, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o, found := m.objects[key]
	if !found {
		return Info{}, ErrNotFound
	}
	info := o.info(key)
	info.Metadata = maps.Clone(o.metadata)
	return info, nil
}

// Put writes whatever is there now.
func (m *Memory) Put(_ context.Context, key string, body []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.write(key, body, nil)
	return nil
}

// Create writes only if there is no object.
func (m *Memory) Create(_ context.Context, key string, body []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, found := m.objects[key]; found {
		return ErrExists
	}
	m.write(key, body, nil)
	return nil
}

// Replace writes only over the version with that ETag.
func (m *Memory) Replace(_ context.Context, key string, body []byte, etag string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if o, found := m.objects[key]; !found || o.ETag != etag {
		return ErrChanged
	}
	m.write(key, body, nil)
	return nil
}

// List describes the objects below a prefix.
func (m *Memory) List(_ context.Context, prefix string) ([]Info, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []Info
	for _, key := range slices.Sorted(maps.Keys(m.objects)) {
		if strings.HasPrefix(key, prefix) {
			list = append(list, m.objects[key].info(key))
		}
	}
	return list, nil
}

func (m *Memory) write(key string, body []byte, metadata map[string]string) {
	if m.objects == nil {
		m.objects = map[string]memoryObject{}
	}
	sum := md5.Sum(body)
	m.objects[key] = memoryObject{
		Object:   Object{Body: bytes.Clone(body), ETag: hex.EncodeToString(sum[:])},
		modified: time.Now().UTC().Truncate(time.Second),
		metadata: metadata,
	}
}

func (o memoryObject) info(key string) Info {
	return Info{Key: key, ETag: o.ETag, Size: int64(len(o.Body)), LastModified: o.modified}
}
