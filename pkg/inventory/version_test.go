package inventory

import (
	"context"
	"errors"
	"testing"
	"time"
)

// Versions of one store are told from those of another by their epochs, even
// though the numbers of their changes are the same.
func TestVersionsOfOthers(t *testing.T) {
	newest := uint32(7)
	stores := map[uint32]*Store{}
	for _, epoch := range []uint32{4, 5, 6} {
		s, _ := newTestStore(Options{Epoch: epoch, NewestEpoch: func() uint32 { return newest }})
		change(s, 1)
		stores[epoch] = s
	}
	own := stores[5].State().Version
	for name, test := range map[string]struct {
		version uint64
		want    error
	}{
		"none":                {0, ErrExpired},
		"lowest":              {1, ErrExpired},
		"own first":           {firstVersion(5), nil},
		"own newest":          {own, nil},
		"own next":            {own + 1, ErrFuture},
		"own last":            {firstVersion(6) - 2, ErrFuture},
		"older store":         {stores[4].State().Version, ErrExpired},
		"older store's last":  {firstVersion(5) - 2, ErrExpired},
		"newer store":         {stores[6].State().Version, ErrExpired},
		"newest store":        {firstVersion(7), ErrExpired},
		"store yet to come":   {firstVersion(8), ErrFuture},
		"highest":             {1<<63 - 1, ErrFuture},
		"above what is legal": {1 << 63, ErrFuture},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := stores[5].Follow(test.version); !errors.Is(err, test.want) {
				t.Errorf("follow from %d: %v, want %v", test.version, err, test.want)
			}
			if _, err := stores[5].At(test.version); !errors.Is(err, test.want) {
				t.Errorf("state at %d: %v, want %v", test.version, err, test.want)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			want := test.want
			if errors.Is(want, ErrFuture) {
				want = context.DeadlineExceeded
			}
			if _, err := stores[5].Wait(ctx, test.version); !errors.Is(err, want) {
				t.Errorf("wait for %d: %v, want %v", test.version, err, want)
			}
		})
	}
	newest = 8
	if _, err := stores[5].Follow(firstVersion(8)); !errors.Is(err, ErrExpired) {
		t.Errorf("follow from a store that has come since: %v", err)
	}
}

func TestVersionsAreLegal(t *testing.T) {
	for _, epoch := range []uint32{0, 1, MaxEpoch} {
		first := NewStore(Options{Epoch: epoch}).State().Version
		if first == 0 || first > 1<<63-1 {
			t.Errorf("the first version of epoch %d is %d", epoch, first)
		}
	}
	if low, high := firstVersion(1), firstVersion(2); low >= high {
		t.Errorf("epoch 1 begins with %d, epoch 2 with %d", low, high)
	}
}
