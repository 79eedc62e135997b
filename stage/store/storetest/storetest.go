// Package storetest holds the conformance suite that every store.Bucket passes.
package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"refit.dev/stage/store"
)

// Run checks that the buckets that open returns keep the contract of
// store.Bucket. Each call of open returns an empty bucket.
func Run(t *testing.T, open func(t *testing.T) store.Bucket) {
	t.Run("reads what was written", func(t *testing.T) { testReadBack(t, open(t)) })
	t.Run("says that there is no object", func(t *testing.T) { testNotFound(t, open(t)) })
	t.Run("creates only once", func(t *testing.T) { testCreate(t, open(t)) })
	t.Run("has one winner among sixteen creators", func(t *testing.T) { testRace(t, open(t)) })
	t.Run("replaces only the version named", func(t *testing.T) { testReplace(t, open(t)) })
	t.Run("lists below a prefix in order", func(t *testing.T) { testList(t, open(t)) })
	t.Run("leases to one at a time", func(t *testing.T) { testLease(t, open(t)) })
}

func testReadBack(t *testing.T, b store.Bucket) {
	for _, key := range []string{"plain", "a/b c+d%e", "ünï/cödé"} {
		require.NoError(t, b.Put(t.Context(), key, []byte("one")))
		require.NoError(t, b.Put(t.Context(), key, []byte("second")))
		o, err := b.Get(t.Context(), key)
		require.NoError(t, err)
		require.Equal(t, "second", string(o.Body))
		info, err := b.Head(t.Context(), key)
		require.NoError(t, err)
		require.Equal(t, o.ETag, info.ETag)
		require.Equal(t, int64(6), info.Size)
		require.WithinDuration(t, time.Now(), info.LastModified, time.Minute)
	}
}

func testNotFound(t *testing.T, b store.Bucket) {
	_, err := b.Get(t.Context(), "none")
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = b.Head(t.Context(), "none")
	require.ErrorIs(t, err, store.ErrNotFound)
	require.ErrorIs(t, b.Replace(t.Context(), "none", nil, "d41d8cd98f00b204e9800998ecf8427e"), store.ErrChanged)
}

func testCreate(t *testing.T, b store.Bucket) {
	require.NoError(t, b.Create(t.Context(), "k", []byte("first")))
	require.ErrorIs(t, b.Create(t.Context(), "k", []byte("later")), store.ErrExists)
	o, err := b.Get(t.Context(), "k")
	require.NoError(t, err)
	require.Equal(t, "first", string(o.Body))
}

func testRace(t *testing.T, b store.Bucket) {
	var winners atomic.Int32
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			if b.Create(t.Context(), "race", fmt.Append(nil, i)) == nil {
				winners.Add(1)
			}
		})
	}
	all.Wait()
	require.Equal(t, int32(1), winners.Load())
}

func testReplace(t *testing.T, b store.Bucket) {
	require.NoError(t, b.Create(t.Context(), "k", []byte("one")))
	one, err := b.Get(t.Context(), "k")
	require.NoError(t, err)
	require.NoError(t, b.Replace(t.Context(), "k", []byte("two"), one.ETag))
	require.ErrorIs(t, b.Replace(t.Context(), "k", []byte("three"), one.ETag), store.ErrChanged)
	o, err := b.Get(t.Context(), "k")
	require.NoError(t, err)
	require.Equal(t, "two", string(o.Body))
}

func testList(t *testing.T, b store.Bucket) {
	for _, key := range []string{"runs/b/mark", "runs/a/mark", "other"} {
		require.NoError(t, b.Put(t.Context(), key, nil))
	}
	list, err := b.List(t.Context(), "runs/")
	require.NoError(t, err)
	var keys []string
	for _, info := range list {
		keys = append(keys, info.Key)
	}
	require.Equal(t, []string{"runs/a/mark", "runs/b/mark"}, keys)
}

func testLease(t *testing.T, b store.Bucket) {
	now := time.Unix(1_000_000, 0)
	first, err := store.Acquire(t.Context(), b, "lock", "one", now, time.Minute)
	require.NoError(t, err)
	_, err = store.Acquire(t.Context(), b, "lock", "two", now, time.Minute)
	require.ErrorIs(t, err, store.ErrHeld)
	require.ErrorContains(t, err, "one", "the message names the holder")

	require.NoError(t, first.Release(t.Context()))
	_, err = store.Acquire(t.Context(), b, "lock", "two", now, time.Minute)
	require.NoError(t, err, "a released lease is free")
	_, err = store.Acquire(t.Context(), b, "lock", "three", now.Add(2*time.Minute), time.Minute)
	require.NoError(t, err, "an expired lease is free")
	require.NoError(t, first.Release(t.Context()), "a release that comes too late changes nothing")
	_, err = store.Acquire(t.Context(), b, "lock", "four", now.Add(2*time.Minute), time.Minute)
	require.ErrorIs(t, err, store.ErrHeld)
}
