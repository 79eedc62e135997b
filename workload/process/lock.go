package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// ErrInUse is returned by Start if another manager uses the folder.
var ErrInUse = errors.New("folder is in use by another process manager")

// patience is how long lock waits: a child that a dying manager was just
// starting holds the lock until it has become another program. So whoever has
// the lock finds each child by the environment it was given.
const patience = time.Second

// lock takes the folder for this process until the file is closed. The kernel
// frees it when the process dies, however that happens.
func (f folder) lock(ctx context.Context) (*os.File, error) {
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of records: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(string(f), "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the folder of records: %w", err)
	}
	_, err = backoff.Retry(ctx, func() (struct{}, error) {
		return struct{}{}, syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}, backoff.WithBackOff(backoff.NewConstantBackOff(patience/50)), backoff.WithMaxElapsedTime(patience))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w: %w", f, ErrInUse, err), file.Close())
	}
	return file, nil
}
