//go:build unix && !solaris && !illumos && !aix

package objectstore

import (
	"errors"
	"os"
	"syscall"
)

// tryLock locks the file for this open file alone, if nobody else has it. The
// system unlocks it when the file is closed or the process ends.
func tryLock(file *os.File) (bool, error) {
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, syscall.EWOULDBLOCK):
			return false, nil
		case !errors.Is(err, syscall.EINTR):
			return false, err
		}
	}
}
