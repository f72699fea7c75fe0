package object

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	service "kollect.io/kollect/test/services/git"
)

func git(t *testing.T, dir, input string, arguments ...string) []byte {
	t.Helper()
	out, err := service.Run(context.WithoutCancel(t.Context()), dir, strings.NewReader(input), arguments...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// repository has many commits of a tree that changes little, so that packs of it have
// deltas, and large files.
func repository(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	git(t, dir, "", "init", "--quiet", "--bare", "--initial-branch=main")
	var stream strings.Builder
	for c := range 20 {
		fmt.Fprintf(&stream, "commit refs/heads/main\ncommitter x <x@example.com> %d +0000\ndata 1\nx\n", 1_795_000_000+c)
		for f := range 200 {
			if c == 0 || f%20 == c {
				content := strings.Repeat(fmt.Sprintf("file %d of commit %d\n", f, c), 1+f%3*200)
				fmt.Fprintf(&stream, "M 100644 inline a/b%d/f%d\ndata %d\n%s\n", f%4, f, len(content), content)
			}
		}
	}
	git(t, dir, stream.String(), "fast-import", "--quiet")
	return dir
}

func objectsOf(t *testing.T, dir string) map[ID]string {
	t.Helper()
	kinds := map[ID]string{}
	for line := range strings.Lines(string(git(t, dir, "", "cat-file", "--batch-all-objects", "--batch-check"))) {
		fields := strings.Fields(line)
		id, _ := ParseID(fields[0])
		kinds[id] = fields[1] + " " + fields[2]
	}
	return kinds
}

func TestReadPackOfGit(t *testing.T) {
	dir := repository(t)
	for name, option := range map[string]string{"offsets": "--delta-base-offset", "names": "--no-reuse-delta"} {
		pack := git(t, dir, "", "pack-objects", "--quiet", "--all", "--stdout", "--no-reuse-object", option)
		got, err := ReadPack(t.Context(), bytes.NewReader(pack), NewSpace(DefaultTempSize), Selection{Blob: 1000})
		if err != nil {
			t.Fatal(err)
		}
		kept := 0
		for id, kind := range objectsOf(t, dir) {
			var size int
			var t0 string
			fmt.Sscanf(kind, "%s %d", &t0, &size)
			data, ok := got[id]
			if ok != (t0 != "blob" || size <= 1000) || ok && len(data) != size {
				t.Errorf("%s: %s %s: kept %t, %d bytes", name, id, kind, ok, len(data))
			}
			if ok {
				kept++
			}
		}
		if kept != len(got) || kept < 60 {
			t.Errorf("%s: %d objects are kept, %d of them Git's", name, len(got), kept)
		}
	}
}

// A pack that was changed on its way is an error, whatever was changed.
func TestReadPackOfNobody(t *testing.T) {
	pack := git(t, repository(t), "", "pack-objects", "--quiet", "--all", "--stdout", "--delta-base-offset")
	r := rand.New(rand.NewPCG(1, 2))
	space := newSpace(1<<20, 1<<20)
	read := func(pack []byte) error {
		_, err := ReadPack(t.Context(), bytes.NewReader(pack), space, Selection{Blob: 1000})
		return err
	}
	for range 50 {
		broken := bytes.Clone(pack)
		broken[r.IntN(len(broken))] ^= byte(1 + r.IntN(255))
		if read(broken) == nil {
			t.Error("a pack was taken that is not one")
		}
		if read(pack[:r.IntN(len(pack))]) == nil {
			t.Error("the start of a pack was taken for one")
		}
		// With a hash that is right for what is wrong it must not fail worse.
		end := len(broken) - len(ID{})
		sum := sha1.Sum(broken[:end])
		copy(broken[end:], sum[:])
		_ = read(broken)
	}
	if err := read(pack); err != nil {
		t.Errorf("after all of them: %v", err)
	}
	mustBeFree(t, space)
}

func mustBeFree(t *testing.T, space *Space) {
	t.Helper()
	if files, memory := space.files.taken.Load(), space.memory.taken.Load(); files != 0 || memory != 0 {
		t.Errorf("%d bytes of files and %d of memory are taken for good", files, memory)
	}
}

// A server that sends too much gets an error, and so does who sends too much; others
// have what is left, and in the end all of it.
func TestSpace(t *testing.T) {
	dir := repository(t)
	pack := git(t, dir, "", "pack-objects", "--quiet", "--all", "--stdout", "--delta-base-offset")
	if _, err := ReadPack(t.Context(), bytes.NewReader(pack), newSpace(1, 2000), Selection{}); !errors.Is(err, ErrNoMemory) {
		t.Errorf("of objects that are too large the error is %v", err)
	}
	space := newSpace(40<<20, 1<<20)
	fill := func(p *Pack, n int) error {
		noise := make([]byte, 1<<20)
		rand.NewChaCha8([32]byte{}).Read(noise)
		for i := range n {
			noise[0] = byte(i)
			if _, err := p.Add(Blob, noise); err != nil {
				return err
			}
		}
		return nil
	}
	small, large, third := NewPack(space), NewPack(space), NewPack(space)
	for _, step := range []struct {
		pack *Pack
		n    int
		want error
	}{{small, 7, nil}, {large, 18, nil}, {large, 4, ErrNoTemp}, {third, 15, nil}, {small, 10, ErrNoTemp}} {
		if err := fill(step.pack, step.n); !errors.Is(err, step.want) {
			t.Errorf("%d MiB more: %v, want %v", step.n, err, step.want)
		}
	}
	whole, _, err := Join(third)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ReadPack(t.Context(), whole, space, Selection{}); !errors.Is(err, ErrNoTemp) {
		t.Errorf("of a pack that is too large the error is %v", err)
	}
	for _, p := range []*Pack{small, large, third} {
		p.Close()
	}
	mustBeFree(t, space)
}

// A pack of a few bytes may be long to read: that ends with the context.
func TestReadPackEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	space := NewSpace(DefaultTempSize)
	p := NewPack(space)
	defer p.Close()
	if _, err := p.AddStream(Blob, 1<<20, func(w io.Writer) error { _, err := w.Write(make([]byte, 1<<20)); return err }); err != nil {
		t.Fatal(err)
	}
	pack, _, err := Join(p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ReadPack(ctx, pack, space, Selection{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// Git takes what was written, also if it went by way of a file.
func TestGitReadsPacks(t *testing.T) {
	dir := t.TempDir()
	git(t, dir, "", "init", "--quiet", "--bare")
	space := NewSpace(DefaultTempSize)
	small, large := NewPack(space), NewPack(space)
	defer small.Close()
	defer large.Close()
	r := rand.New(rand.NewPCG(1, 2))
	var entries []Entry
	for i := range 12 {
		content := make([]byte, 800<<10+i)
		for j := 0; j+8 <= len(content); j += 8 {
			binary.LittleEndian.PutUint64(content[j:], r.Uint64())
		}
		id, err := large.Add(Blob, content)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, Entry{Mode: ModeFile, Name: fmt.Sprintf("f-%d", i), ID: id})
	}
	entries = append(entries, Entry{Mode: ModeFile, Name: "f", ID: entries[0].ID}, Entry{Mode: ModeFile, Name: "f.x", ID: entries[0].ID})
	sub, err := small.Add(Tree, EncodeTree(entries))
	if err != nil {
		t.Fatal(err)
	}
	tree, err := small.Add(Tree, EncodeTree([]Entry{{ModeTree, "f", sub}, {ModeFile, "f.x", entries[0].ID}, {ModeFile, "f0", entries[0].ID}}))
	if err != nil {
		t.Fatal(err)
	}
	content, err := Revision{Tree: tree, Message: "x\n", Author: Author{"x", "x@example.com"}, Time: time.Unix(1_795_000_000, 0)}.Encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	commit, err := small.Add(Commit, content)
	if err != nil {
		t.Fatal(err)
	}
	if large.body.file == nil {
		t.Error("a large pack is all in memory")
	}
	pack, size, err := Join(small, large)
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	if n, err := buf.ReadFrom(pack); err != nil || n != size {
		t.Fatalf("%d bytes, not the %d that it says: %v", n, size, err)
	}
	git(t, dir, buf.String(), "unpack-objects", "-q", "--strict")
	git(t, dir, "", "update-ref", "refs/heads/main", commit.String())
	git(t, dir, "", "fsck", "--strict", "--full")
	if _, err := os.Stat(large.body.file.Name()); !os.IsNotExist(err) {
		t.Errorf("the temporary file would stay after a crash: %v", err)
	}
}
