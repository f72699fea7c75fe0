package apiserver

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// writesConn records what is written to it, unless it fails.
type writesConn struct {
	net.Conn
	err error // of each write

	mu     sync.Mutex // guards what follows
	writes [][]byte
	closed bool
}

func (c *writesConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, c.err
	}
	c.writes = append(c.writes, bytes.Clone(p))
	return len(p), nil
}

func (c *writesConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return nil
}

func (c *writesConn) sizes() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	var sizes []int
	for _, w := range c.writes {
		sizes = append(sizes, len(w))
	}
	return sizes
}

const record = fullRecord + 22 // of TLS 1.3

func writeSizes(t *testing.T, c net.Conn, sizes ...int) {
	t.Helper()
	for _, size := range sizes {
		if n, err := c.Write(make([]byte, size)); n != size || err != nil {
			t.Fatalf("wrote %d of %d bytes: %v", n, size, err)
		}
	}
}

// Records are written when three are there, with what is shorter after them, or
// a moment later; what is short is never held back.
func TestFullRecordsAreWrittenTogether(t *testing.T) {
	for name, test := range map[string]struct{ sizes, now, later []int }{
		"short":                {sizes: []int{100, fullRecord - 1, 5}, now: []int{100, fullRecord - 1, 5}},
		"as many as fit":       {sizes: slices.Repeat([]int{record}, 6), now: []int{3 * record, 3 * record}},
		"the end of an answer": {sizes: []int{record, record, 77}, now: []int{2 * record, 77}},
		"nothing after":        {sizes: []int{record}, later: []int{record}},
		"some after a whole":   {sizes: slices.Repeat([]int{record}, 5), now: []int{3 * record}, later: []int{2 * record}},
		"growing":              {sizes: []int{record, record, fullRecord * 3, record}, now: []int{2 * record, fullRecord * 3}, later: []int{record}},
		"more than a whole":    {sizes: []int{record, gatherSize + 1}, now: []int{record, gatherSize + 1}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				under := &writesConn{}
				c := &gatherConn{Conn: under}
				writeSizes(t, c, test.sizes...)
				time.Sleep(gatherDelay - time.Nanosecond)
				if got := under.sizes(); !slices.Equal(got, test.now) {
					t.Errorf("got writes of %d bytes, want %d", got, test.now)
				}
				time.Sleep(time.Nanosecond)
				synctest.Wait()
				if got, want := under.sizes(), slices.Concat(test.now, test.later); !slices.Equal(got, want) {
					t.Errorf("a moment later there were writes of %d bytes, want %d", got, want)
				}
			})
		})
	}
}

// What cannot be written is told to the next write, and closes a connection of
// which nothing more may be written.
func TestRecordsThatCannotBeWrittenAreTold(t *testing.T) {
	gone := errors.New("gone")
	for name, test := range map[string]struct {
		then   func(*gatherConn) error
		closed bool
	}{
		"with what is short": {then: func(c *gatherConn) error {
			_, err := c.Write([]byte("x"))
			return err
		}},
		"with enough": {then: func(c *gatherConn) error {
			_, first := c.Write(make([]byte, record))
			_, second := c.Write(make([]byte, record))
			return errors.Join(first, second)
		}},
		"in the end": {closed: true, then: func(c *gatherConn) error {
			time.Sleep(gatherDelay)
			synctest.Wait()
			_, err := c.Write(make([]byte, record))
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				under := &writesConn{err: gone}
				c := &gatherConn{Conn: under}
				writeSizes(t, c, record)
				if err := test.then(c); !errors.Is(err, gone) || under.closed != test.closed {
					t.Errorf("got %v, closed: %v", err, under.closed)
				}
				if n, err := c.Write(make([]byte, record)); n != 0 || !errors.Is(err, gone) {
					t.Errorf("then %d bytes were written: %v", n, err)
				}
			})
		})
	}
}

// Answers of any size, written in any way, arrive as they are.
func TestGatheredAnswersArriveWhole(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	content := make([]byte, 1<<20)
	for i := range content {
		content[i] = byte(random.Uint32())
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		size, err := strconv.Atoi(r.URL.Query().Get("size"))
		if err != nil {
			t.Error(err)
		}
		piece, err := strconv.Atoi(r.URL.Query().Get("piece"))
		if err != nil {
			t.Error(err)
		}
		for part := range slices.Chunk(content[:size], piece) {
			if _, err := w.Write(part); err != nil {
				t.Error(err)
			}
		}
	}))
	server.Listener = gatherListener{server.Listener}
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	for i := range 300 {
		size, piece := random.IntN(len(content)+1), 1+random.IntN(100<<10)
		if i%4 == 0 { // whole records
			size, piece = fullRecord*random.IntN(20), fullRecord*(1+random.IntN(4))
		}
		url := server.URL + "?size=" + strconv.Itoa(size) + "&piece=" + strconv.Itoa(piece)
		response, err := server.Client().Get(url)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || !bytes.Equal(got, content[:size]) {
			t.Fatalf("%s: got %d bytes: %v", url, len(got), err)
		}
	}
}
