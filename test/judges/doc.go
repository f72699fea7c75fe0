// Package judges holds the read API to tests that others wrote for storages of
// Kubernetes, and to its watch cache. It has tests only, and judges reads alone:
// rows are written as the tests ask by a small adapter, and are read through the
// resources as they are served.
package judges
