package inventory

import (
	"encoding/json"
	"iter"
)

// AppendJSONString appends s as encoding/json writes a string, HTML escapes
// included, so that equal strings have equal bytes wherever they are encoded.
func AppendJSONString(buf []byte, s string) []byte {
	if !plain(s) {
		quoted, err := json.Marshal(s)
		if err != nil { // a string always encodes
			panic(err)
		}
		return append(buf, quoted...)
	}
	return append(append(append(buf, '"'), s...), '"')
}

// plain reports whether a string needs no escapes in JSON.
func plain(s string) bool {
	if len(s) < 8 {
		word := ones * 'x'
		for i := range len(s) {
			word = word<<8 | uint64(s[i])
		}
		return !odd(word)
	}
	for ; len(s) > 8; s = s[min(8, len(s)-8):] {
		if odd(word(s)) {
			return false
		}
	}
	return !odd(word(s))
}

// word returns the first eight bytes of a string.
func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// odd reports whether any of eight bytes needs an escape, or is not ASCII: by a
// bit that is left, or borrowed, at the top of the byte.
func odd(word uint64) bool {
	const tops = ones << 7
	found := word | (word + ones) | (word - ones*0x20) |
		(word ^ ones*'"' - ones) | (word ^ ones*'\\' - ones) |
		(word ^ ones*'<' - ones) | (word ^ ones*'>' - ones) | (word ^ ones*'&' - ones)
	return found&tops != 0
}

const ones uint64 = 0x0101010101010101

// Member returns the value of the named member of object, a JSON object
// without insignificant space such as Row.Attributes, in its encoded form.
// name must not need escapes in JSON. Of what is no such object, the result is
// undefined.
func Member(object, name string) (value string, ok bool) {
	for member, value := range Members(object) {
		if member == name {
			return value, true
		}
	}
	return "", false
}

// Members yields the names and the encoded values of the members of object, as
// Member finds them, in their order. Names with escapes are yielded with them.
func Members(object string) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for i := 1; i < len(object) && object[i] == '"'; {
			keyEnd := stringEnd(object, i)
			if keyEnd >= len(object) || object[keyEnd] != ':' {
				return
			}
			valueEnd := valueEnd(object, keyEnd+1)
			if !yield(object[i+1:keyEnd-1], object[keyEnd+1:valueEnd]) {
				return
			}
			i = valueEnd + 1
		}
	}
}

// stringEnd returns the index after the string that starts at i.
func stringEnd(s string, i int) int {
	for i++; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(s)
}

// valueEnd returns the index after the value that starts at i.
func valueEnd(s string, i int) int {
	depth := 0
	for i < len(s) {
		switch s[i] {
		case '"':
			i = stringEnd(s, i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			depth--
		case ',':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return i
}
