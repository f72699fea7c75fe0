package inventory

import (
	"cmp"
	"slices"
	"strings"
	"testing"
)

func TestKeyText(t *testing.T) {
	keys := []Key{{}, {15: 1}, {0: 1}, {0: 0x7f, 1: 0xff}, {0: 0x80}, {0: 0xff}}
	for i, a := range keys {
		for j, b := range keys {
			checkKeys(t, a, b)
			if got := a.Compare(b); got != cmp.Compare(i, j) {
				t.Errorf("%v compared with %v is %d", a, b, got)
			}
		}
	}
}

// checkKeys checks that text goes both ways and keeps the order.
func checkKeys(t *testing.T, a, b Key) {
	s := a.String()
	if back, ok := ParseKey(s); !ok || back != a || len(s) != KeyLength {
		t.Errorf("%x is written as %q and read as %x, %v", a[:], s, back[:], ok)
	}
	if text, err := a.AppendText([]byte("x.")); err != nil || string(text) != "x."+s {
		t.Errorf("%x is appended as %q, %v", a[:], text, err)
	}
	if text := strings.Compare(s, b.String()); text != a.Compare(b) {
		t.Errorf("%x and %x: texts compare as %d, keys as %d", a[:], b[:], text, a.Compare(b))
	}
}

func FuzzKey(f *testing.F) {
	f.Add([]byte("0123456789abcdef0123456789abcdef"), "00000000000000000000000000")
	f.Add([]byte{}, "vvvvvvvvvvvvvvvvvvvvvvvvvs")
	f.Add([]byte{0xff}, "vvvvvvvvvvvvvvvvvvvvvvvvvv")
	f.Add([]byte{1}, "0000000000000000000000000\n")
	f.Fuzz(func(t *testing.T, raw []byte, text string) {
		var a, b Key
		copy(b[:], raw[copy(a[:], raw):])
		checkKeys(t, a, b)
		if key, ok := ParseKey(text); ok != (key.String() == text) {
			t.Errorf("%q is read as %v, %v", text, key, ok)
		}
	})
}

func TestParseKeyRefusesOtherSpellings(t *testing.T) {
	for _, s := range []string{
		"", "0", strings.Repeat("0", 25), strings.Repeat("0", 27), strings.Repeat("A", 26), strings.Repeat("w", 26),
		strings.Repeat("0", 25) + "1", strings.Repeat("0", 25) + "=", strings.Repeat("0", 24) + "\r\n", strings.Repeat("é", 13),
	} {
		if key, ok := ParseKey(s); ok {
			t.Errorf("%q is read as %v", s, key)
		}
	}
}

// Each part of what a key covers counts, and where one part ends and the next
// begins.
func TestKeysDiffer(t *testing.T) {
	key := func(dedupe Dedupe, parts ...string) Key {
		row := NewRow(RowContent{
			Resource: testResources[0], Target: &TargetRef{Namespace: parts[3], Name: parts[4]},
			Namespace: parts[5], Name: parts[6], UID: parts[7],
		})
		return newKeyer(parts[0], Ref{Namespace: parts[1], Name: parts[2]}, dedupe).key(row)
	}
	parts := []string{"aa", "bb", "cc", "dd", "ee", "ff", "gg", "hh"}
	for dedupe, covered := range map[Dedupe][]int{KeepAll: {0, 1, 2, 3, 4, 5, 6, 7}, ByResourceUID: {0, 1, 2, 5, 7}} {
		seen := map[Key]bool{key(dedupe, parts...): true}
		for n, i := range covered {
			changed := slices.Clone(parts)
			changed[i] += "x"
			shifted := slices.Clone(parts)
			next := covered[(n+1)%len(covered)]
			shifted[i], shifted[next] = parts[i][:1], parts[i][1:]+parts[next]
			seen[key(dedupe, changed...)], seen[key(dedupe, shifted...)] = true, true
		}
		if want := 1 + 2*len(covered); len(seen) != want {
			t.Errorf("dedupe %v: %d keys of %d different contents", dedupe, len(seen), want)
		}
		for i := range parts {
			if !slices.Contains(covered, i) {
				changed := slices.Clone(parts)
				changed[i] = "other"
				if key(dedupe, changed...) != key(dedupe, parts...) {
					t.Errorf("dedupe %v: part %d should not count", dedupe, i)
				}
			}
		}
	}
}

// Keys name rows in destinations: another version of the program must make the
// same.
func TestKeyIsStable(t *testing.T) {
	row := testRow(testTargets[0], 7, 0)
	for dedupe, want := range map[Dedupe]string{KeepAll: "81rmk7u0ft5m88k9c3crma7jpg", ByResourceUID: "hv0coc4ot87kbmj83f0j8m7vrg"} {
		if got := newKeyer("prod", testRefs[0], dedupe).key(row).String(); got != want {
			t.Errorf("dedupe %v: key %s, want %s", dedupe, got, want)
		}
	}
}
