package export

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestWritesAtOnceAreBounded(t *testing.T) {
	bubble(t, func(f *fixture) {
		const sinks = 100
		f.put(rows(3)...)
		f.synced(true, false, "")
		var writing, most, written atomic.Int64
		for i := range sinks {
			s := &fakeSink{fail: func(operation string) error {
				if operation == "write" {
					most.Store(max(most.Load(), writing.Add(1)))
					time.Sleep(time.Second)
					writing.Add(-1)
					written.Add(1)
				}
				return nil
			}}
			f.pair(fmt.Sprint("lake-", i), s, Settings{})
		}
		f.wait(10 * time.Second)
		if most.Load() > roomRows/leastRows || most.Load() < 2 {
			t.Errorf("%d writes at once, want at most %d", most.Load(), roomRows/leastRows)
		}
		if written.Load() != sinks {
			t.Errorf("%d writes, want %d", written.Load(), sinks)
		}
	})
}

func TestRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom()
		leave, err := r.enter(t.Context(), 10*roomRows) // takes it all
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := r.enter(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want the end of the attempt", err)
		}
		leave()
		for range 2 {
			if _, err := r.enter(t.Context(), roomRows/2); err != nil {
				t.Fatal(err)
			}
		}
	})
}
