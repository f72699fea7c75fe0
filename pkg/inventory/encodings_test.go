package inventory

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"weak"
)

// leavesOf returns the leaves of a tree of n entries.
func leavesOf(random *rand.Rand, n int) []Leaf {
	snapshot := &Snapshot{root: treeOf(randomEntries(random, testRows(1), n))}
	return slices.Collect(snapshot.Leaves(Key{}, nil))
}

// encodedLeaf is what a leaf is encoded to here.
func encodedLeaf(l Leaf) []byte {
	return bytes.Repeat(l.node.items[0].Key[:], 4*len(l.node.items))
}

// readAll reads leaves as a list does, and returns of how many the encoding was
// kept.
func readAll(t testing.TB, e *Encodings, leaves []Leaf) int {
	t.Helper()
	hits, read := 0, e.Read()
	for _, l := range leaves {
		encoded := read.Get(l)
		if encoded == nil {
			read.Put(l, encodedLeaf(l))
			continue
		}
		if hits++; !bytes.Equal(encoded, encodedLeaf(l)) {
			t.Error("got the encoding of another leaf")
		}
	}
	if size := e.Size(); size > e.limit {
		t.Errorf("%d bytes are kept, want at most %d", size, e.limit)
	}
	return hits
}

func expectHits(t testing.TB, e *Encodings, what string, leaves []Leaf, want int) {
	t.Helper()
	if got := readAll(t, e, leaves); got != want {
		t.Errorf("%s: got %d of %d leaves from what is kept, want %d", what, got, len(leaves), want)
	}
}

const noLimit = 1 << 30

func TestEncodingsOfWhatIsReadAgainAreKept(t *testing.T) {
	leaves := leavesOf(rand.New(rand.NewPCG(1, 20)), 1000)
	e := NewEncodings(noLimit)
	expectHits(t, e, "first read", leaves, 0)
	if size := e.Size(); size != 0 {
		t.Errorf("after one read %d bytes are kept", size)
	}
	expectHits(t, e, "second read", leaves, 0)
	expectHits(t, e, "third read", leaves, len(leaves))
	if size := e.Size(); size < 1000*4*len(Key{}) {
		t.Errorf("only %d bytes are kept", size)
	}
	expectHits(t, NewEncodings(noLimit), "of others", leaves, 0)

	none := NewEncodings(0)
	for range 3 {
		expectHits(t, none, "with a limit of 0", leaves, 0)
	}
}

// fill returns encodings with room for half of the leaves, and how many they keep.
func fill(t testing.TB, leaves []Leaf) (e *Encodings, kept int) {
	t.Helper()
	all := NewEncodings(noLimit)
	half := leaves[:len(leaves)/2]
	readAll(t, all, half)
	readAll(t, all, half)
	for _, l := range half {
		l.node.encoding.Store(nil)
	}
	e = NewEncodings(all.Size())
	readAll(t, e, leaves)
	readAll(t, e, leaves)
	return e, readAll(t, e, leaves)
}

func TestWhatDoesNotFitDrivesOutNothing(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 21))
	leaves := leavesOf(random, 2000)
	e, kept := fill(t, leaves)
	if kept < len(leaves)/3 {
		t.Fatalf("only %d of %d leaves are kept", kept, len(leaves))
	}
	for range 5 {
		expectHits(t, e, "again", leaves, kept)
		readAll(t, e, leavesOf(random, 2000)) // once
	}
	// Reads that go on at the same time.
	reads := []EncodingsReader{e.Read(), e.Read(), e.Read()}
	for _, l := range leaves {
		for _, read := range reads {
			if read.Get(l) == nil {
				read.Put(l, encodedLeaf(l))
			}
		}
	}
	expectHits(t, e, "after reads at one time", leaves, kept)
}

func TestWhatIsReadNowTakesTheRoomOfWhatWas(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 22))
	before := leavesOf(random, 2000)
	e, _ := fill(t, before)
	after := leavesOf(random, 800)
	readAll(t, e, after)
	readAll(t, e, after)
	expectHits(t, e, "other leaves", after, len(after))
	if hits := readAll(t, e, before); hits == 0 || hits >= len(before)/2 {
		t.Errorf("%d of the %d former leaves are still kept, want some", hits, len(before))
	}
}

func TestEncodingsKeepNoLeaf(t *testing.T) {
	e := NewEncodings(noLimit)
	leaf := func() weak.Pointer[node] {
		leaves := leavesOf(rand.New(rand.NewPCG(1, 23)), leafSize)
		for range 3 {
			readAll(t, e, leaves)
		}
		return weak.Make(leaves[0].node)
	}()
	if e.Size() == 0 {
		t.Fatal("nothing is kept")
	}
	runtime.GC()
	if leaf.Value() != nil {
		t.Error("the leaf is still there")
	}
}

func TestEncodingsInConcurrentUse(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 24))
	var trees [][]Leaf
	for range 4 {
		trees = append(trees, leavesOf(random, 1000))
	}
	e, _ := fill(t, trees[0])
	var readers sync.WaitGroup
	for i := range 4 {
		random := rand.New(rand.NewPCG(uint64(i), 25))
		readers.Go(func() {
			for range 30 {
				readAll(t, e, trees[random.IntN(len(trees))])
			}
		})
	}
	readers.Wait()
	size := 0
	for known := e.newest.next; known != &e.newest; known = known.next {
		size += cap(known.encoded) + encodingSize
	}
	if size != e.Size() || size == 0 {
		t.Errorf("%d bytes are kept, and %d counted", size, e.Size())
	}
}
