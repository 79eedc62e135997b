//go:build unix

package bus

import (
	"os"
	"sync"
	"syscall"
)

// lock takes the file at path for this process alone, until unlock is called
// or the process ends in whatever way.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, err
	}
	return sync.OnceFunc(func() { _ = f.Close() }), nil
}
