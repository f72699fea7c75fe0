package controlplane

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Root returns the checkout that holds the working directory: the nearest
// folder upwards with hack/kubernetes/go.mod in it.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find checkout: %w", err)
	}
	for start := dir; ; dir = filepath.Dir(dir) {
		_, err := os.Stat(filepath.Join(dir, "hack", "kubernetes", "go.mod"))
		if err == nil {
			return dir, nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("find checkout: %w", err)
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("find checkout: no hack/kubernetes/go.mod in %s or above it", start)
		}
	}
}
