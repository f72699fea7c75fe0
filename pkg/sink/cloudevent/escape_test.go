package cloudevent

import (
	"strings"
	"testing"
)

func TestSegmentsReadLikeNames(t *testing.T) {
	for text, want := range map[string]string{
		"team-a": "team-a", "apps.x": "apps.x", "a_b": "a_b", "": "_", "_": "%5F", "_cluster": "%5Fcluster",
		"a b": "a%20b", "a%20b": "a%2520b", "*": "%2A", ">": "%3E", "a/b": "a%2Fb", "ü": "%C3%BC", "a\nb": "a%0Ab",
	} {
		if got := Segment(text); got != want {
			t.Errorf("segment of %q is %q, want %q", text, got, want)
		}
	}
}

// FuzzSegment looks for strings that become the same, or something that a
// protocol takes for more than a name.
func FuzzSegment(f *testing.F) {
	for _, s := range []string{"", "_", "__", "%5F", "%", "%2", "a.b", "a%2Eb", "*", ">", "a b", "_cluster", "ü", "\xff\x00", "\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		segment, token := Segment(s), Token(s)
		for _, escaped := range []string{segment, token} {
			if got, ok := Unescape(escaped); !ok || got != s {
				t.Errorf("%q became %q and then %q, %t", s, escaped, got, ok)
			}
			if escaped == "" || strings.ContainsAny(escaped, " \t\r\n/*>\"") || escaped[0] == '_' && s != "" {
				t.Errorf("%q became %q", s, escaped)
			}
			for _, c := range []byte(escaped) {
				if c <= ' ' || c > '~' {
					t.Errorf("%q became %q", s, escaped)
				}
			}
		}
		if strings.Contains(token, ".") {
			t.Errorf("%q became token %q", s, token)
		}
		if plain, ok := Unescape(s); ok && Segment(plain) != s && Token(plain) != s {
			t.Errorf("%q is read as %q, which is not what it is made of", s, plain)
		}
	})
}
