package cloudevent

import (
	"strconv"
	"strings"
)

const hexDigits = "0123456789ABCDEF"

// Segment returns s in letters, digits, '.', '-' and '_', with all else, and a
// '_' at the beginning, as %XX. The empty string becomes "_". No two strings
// become the same, and none what has a '_' and more at the beginning.
func Segment(s string) string {
	if s == "" {
		return "_"
	}
	for i := range len(s) {
		if !kept(s, i) {
			return escape(s)
		}
	}
	return s
}

func kept(s string, i int) bool {
	switch c := s[i]; {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.':
		return true
	default:
		return c == '_' && i > 0
	}
}

func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if kept(s, i) {
			b.WriteByte(s[i])
		} else {
			b.Write([]byte{'%', hexDigits[s[i]>>4], hexDigits[s[i]&15]})
		}
	}
	return b.String()
}

// Token returns Segment without dots: those are escaped too.
func Token(s string) string { return strings.ReplaceAll(Segment(s), ".", "%2E") }

// Unescape returns what Segment or Token was made of, and false if it was made by
// neither.
func Unescape(s string) (string, bool) {
	if s == "_" {
		return "", true
	}
	if !strings.Contains(s, "%") {
		return s, s != "" && Segment(s) == s
	}
	plain := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			if len(s) < i+3 {
				return "", false
			}
			b, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				return "", false
			}
			c, i = byte(b), i+2
		}
		plain = append(plain, c)
	}
	return string(plain), Segment(string(plain)) == s || Token(string(plain)) == s
}
