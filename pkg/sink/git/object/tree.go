package object

import (
	"bytes"
	"errors"
	"slices"
	"strings"
)

// Modes of entries, as trees have them.
const (
	ModeTree = "40000"
	ModeFile = "100644"
)

// Entry is a file or folder in a tree.
type Entry struct {
	Mode string
	Name string
	ID   ID
}

// IsTree reports whether the entry is a folder.
func (e Entry) IsTree() bool { return e.Mode == ModeTree }

// compare orders entries as Git does: names of folders count as if they ended with
// a slash.
func (e Entry) compare(other Entry) int {
	n := min(len(e.Name), len(other.Name))
	if c := strings.Compare(e.Name[:n], other.Name[:n]); c != 0 {
		return c
	}
	return int(e.after(n)) - int(other.after(n))
}

func (e Entry) after(n int) byte {
	switch {
	case n < len(e.Name):
		return e.Name[n]
	case e.IsTree():
		return '/'
	}
	return 0
}

var errTree = errors.New("it is not a tree")

// ParseTree reads a tree. The entries are in the order that they are there.
func ParseTree(data []byte) ([]Entry, error) {
	entries := make([]Entry, 0, len(data)/48)
	text := string(data) // once for all names
	for at := 0; at < len(data); {
		space := bytes.IndexByte(data[at:], ' ')
		if space < 0 {
			return nil, errTree
		}
		end := bytes.IndexByte(data[at+space:], 0)
		if end < 0 {
			return nil, errTree
		}
		name := at + space + 1
		end += at + space
		if end+1+len(ID{}) > len(data) || name >= end {
			return nil, errTree
		}
		entries = append(entries, Entry{Mode: mode(text[at : at+space]), Name: text[name:end], ID: ID(data[end+1 : end+1+len(ID{})])})
		at = end + 1 + len(ID{})
	}
	return entries, nil
}

// mode keeps no more of a tree in memory than it must.
func mode(s string) string {
	switch s {
	case ModeFile:
		return ModeFile
	case ModeTree, "0" + ModeTree: // which old programs wrote
		return ModeTree
	}
	return s
}

// EncodeTree returns the tree of the entries, which it sorts.
func EncodeTree(entries []Entry) []byte {
	if !slices.IsSortedFunc(entries, Entry.compare) {
		slices.SortFunc(entries, Entry.compare)
	}
	size := 0
	for _, e := range entries {
		size += len(e.Mode) + len(e.Name) + 2 + len(e.ID)
	}
	buf := make([]byte, 0, size)
	for _, e := range entries {
		buf = append(append(append(append(buf, e.Mode...), ' '), e.Name...), 0)
		buf = append(buf, e.ID[:]...)
	}
	return buf
}

// Find returns the entry of that name.
func Find(entries []Entry, name string) (Entry, bool) {
	i := slices.IndexFunc(entries, func(e Entry) bool { return e.Name == name })
	if i < 0 {
		return Entry{}, false
	}
	return entries[i], true
}

// With returns the entries with one in the place of that of the same name. An
// entry without an ID leaves it out.
func With(entries []Entry, e Entry) []Entry {
	changed := slices.DeleteFunc(slices.Clone(entries), func(old Entry) bool { return old.Name == e.Name })
	if e.ID.IsZero() {
		return changed
	}
	return append(changed, e)
}
