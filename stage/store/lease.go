package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// ErrHeld means that somebody else holds the lease; ask again later.
var ErrHeld = errors.New("lease is held")

// Lease is the right to do one thing at a time. It ends at Expires even if its
// holder dies, so whoever holds it must be done, or have given up, by then.
type Lease struct {
	Holder  string    `json:"holder"`
	Expires time.Time `json:"expires"`

	bucket Bucket
	key    string
}

// Acquire takes the lease at key for holder, from now until now+ttl. A lease
// that was released or has expired is taken over. It fails with ErrHeld.
func Acquire(ctx context.Context, b Bucket, key, holder string, now time.Time, ttl time.Duration) (*Lease, error) {
	l := &Lease{Holder: holder, Expires: now.Add(ttl), bucket: b, key: key}
	body, err := json.Marshal(l)
	if err != nil {
		return nil, fmt.Errorf("encode lease: %w", err)
	}
	err = b.Create(ctx, key, body)
	if errors.Is(err, ErrExists) {
		err = takeOver(ctx, b, key, body, now)
	}
	if err != nil {
		return nil, fmt.Errorf("acquire lease %s: %w", key, err)
	}
	return l, nil
}

func takeOver(ctx context.Context, b Bucket, key string, body []byte, now time.Time) error {
	found, err := b.Get(ctx, key)
	if err != nil {
		return err
	}
	var held Lease
	if err := json.Unmarshal(found.Body, &held); err != nil {
		return err
	}
	if now.Before(held.Expires) {
		return fmt.Errorf("%w by %s until %s", ErrHeld, held.Holder, held.Expires.Format(time.RFC3339))
	}
	if err := b.Replace(ctx, key, body, found.ETag); errors.Is(err, ErrChanged) {
		return ErrHeld
	} else if err != nil {
		return err
	}
	return nil
}

// Release ends the lease early. A lease that somebody took over is left alone.
func (l *Lease) Release(ctx context.Context) error {
	found, err := l.bucket.Get(ctx, l.key)
	if err != nil {
		return fmt.Errorf("release lease %s: %w", l.key, err)
	}
	var held Lease
	if json.Unmarshal(found.Body, &held) != nil || held.Holder != l.Holder || !held.Expires.Equal(l.Expires) {
		return nil //nolint:nilerr // somebody else's, whether it can be read or not
	}
	held.Expires = time.Time{}
	body, err := json.Marshal(held)
	if err != nil {
		return fmt.Errorf("encode lease: %w", err)
	}
	if err := l.bucket.Replace(ctx, l.key, body, found.ETag); err != nil && !errors.Is(err, ErrChanged) {
		return fmt.Errorf("release lease %s: %w", l.key, err)
	}
	return nil
}
