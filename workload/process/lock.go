package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// ErrInUse is returned by Start if another manager uses the folder.
var ErrInUse = errors.New("folder is in use by another process manager")

// lock takes the folder for this process until the file is closed. The kernel
// frees it when the process dies, however that happens.
func (f folder) lock() (*os.File, error) {
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of records: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(string(f), "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the folder of records: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w: %w", f, ErrInUse, err), file.Close())
	}
	return file, nil
}
