package collect

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// arrivals is a connection to which data comes at given times.
type arrivals struct {
	net.Conn
	mu     sync.Mutex // guards what follows
	cond   *sync.Cond
	came   []time.Time // of each byte that was not read yet
	closed bool
}

func newArrivals() *arrivals {
	a := &arrivals{}
	a.cond = sync.NewCond(&a.mu)
	return a
}

func (a *arrivals) arrive(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for range n {
		a.came = append(a.came, time.Now())
	}
	a.cond.Broadcast()
}

func (a *arrivals) Read(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.came) == 0 && !a.closed {
		a.cond.Wait()
	}
	if a.closed {
		return 0, io.EOF
	}
	n := min(len(p), len(a.came))
	a.came = a.came[n:]
	return n, nil
}

func (a *arrivals) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	a.cond.Broadcast()
	return nil
}

// TestPace has data come at a period, and looks how often it is read and how late.
func TestPace(t *testing.T) {
	for _, test := range []struct {
		name        string
		period      time.Duration
		size, times int
		reads       int // at most, but for those before it is steady
		late        time.Duration
	}{
		{"little that comes often is taken in together", 4 * time.Millisecond, 1000, 1000, 401, pace},
		{"little that comes now and then is read at once", pace + time.Millisecond, 1000, 100, 100, 0},
		{"plenty is read at once", time.Millisecond, plenty / 8, 100, 400, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				source := newArrivals()
				conn := pacedConnOf(t, source)
				go func() {
					for range test.times {
						time.Sleep(test.period)
						source.arrive(test.size)
					}
				}()
				// Each piece comes a period after the one before it.
				began, buf := time.Now(), make([]byte, 16<<10)
				reads, total := 0, 0
				for ; total < test.size*test.times; reads++ {
					oldest := began.Add(test.period * time.Duration(total/test.size+1))
					n, err := conn.Read(buf)
					if err != nil {
						t.Fatal(err)
					}
					if late := time.Since(oldest); late > test.late {
						t.Fatalf("byte %d was read after %v, want at most %v", total, late, test.late)
					}
					total += n
				}
				if reads > test.reads+steady {
					t.Errorf("%d reads, want at most %d", reads, test.reads+steady)
				}
			})
		})
	}
}

func TestPaceEndsWithTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := newArrivals()
		conn := pacedConnOf(t, source)
		buf := make([]byte, 100)
		for range steady {
			source.arrive(1)
			if _, err := conn.Read(buf); err != nil {
				t.Fatal(err)
			}
		}
		began, ended := time.Now(), make(chan error)
		go func() {
			_, err := conn.Read(buf)
			ended <- err
		}()
		synctest.Wait() // until it waits for the pace
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err != io.EOF {
			t.Errorf("got %v, want io.EOF", err)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("Read ended %v after Close", took)
		}
	})
}

func pacedConnOf(t *testing.T, source net.Conn) net.Conn {
	t.Helper()
	conn, err := pacedDial(func(context.Context, string, string) (net.Conn, error) { return source, nil })(t.Context(), "tcp", "")
	if err != nil {
		t.Fatal(err)
	}
	return conn
}
