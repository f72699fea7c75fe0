//go:build !unix || solaris || illumos || aix

package objectstore

import (
	"errors"
	"os"
)

// tryLock refuses: without locks two processes could go back a generation.
func tryLock(*os.File) (bool, error) {
	return false, errors.New("file URLs need a system with flock: use s3, gs or azblob")
}
