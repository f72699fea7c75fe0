package git

import (
	"strings"
	"unicode/utf8"

	"kollect.io/kollect/pkg/inventory"
)

// appendYAML appends a JSON object without insignificant space as a YAML document in
// block style: members stay in their order, each on a line of its own.
func appendYAML(buf, object []byte) []byte {
	y := yamlWriter{buf: buf, json: string(object)}
	y.node(0, false)
	return y.buf
}

// appendYAMLItem appends it as an item of a list.
func appendYAMLItem(buf, object []byte) []byte {
	y := yamlWriter{buf: append(buf, "- "...), json: string(object)}
	y.node(2, true)
	return y.buf
}

// yamlWriter turns JSON, as inventories have it, into YAML.
type yamlWriter struct {
	buf  []byte
	json string
	at   int
}

// node writes an object or list that has something in it, whose lines start at a
// column. begun: the first line has been started.
func (y *yamlWriter) node(column int, begun bool) {
	isList := y.json[y.at] == '['
	y.at++
	for more := true; more; begun = false {
		if !begun {
			y.pad(column)
		}
		if isList {
			y.buf = append(y.buf, '-')
			y.value(column+2, column+2, true)
		} else {
			y.scalar()
			y.buf = append(y.buf, ':')
			y.at++ // the colon
			y.value(column+2, column, false)
		}
		more = y.at < len(y.json) && y.json[y.at] == ','
		y.at++ // a comma, or the bracket at the end
	}
}

// value writes what comes after a dash or a colon. Objects and lists start at their
// columns, in a list on the same line.
func (y *yamlWriter) value(object, list int, inList bool) {
	var c, next byte
	if y.at < len(y.json) {
		c = y.json[y.at]
	}
	if y.at+1 < len(y.json) {
		next = y.json[y.at+1]
	}
	column := object
	switch {
	case c == '{' && next == '}', c == '[' && next == ']':
		y.buf = append(y.buf, ' ', c, next, '\n')
		y.at += 2
		return
	case c == '[':
		column = list
	case c != '{':
		y.buf = append(y.buf, ' ')
		y.scalar()
		y.buf = append(y.buf, '\n')
		return
	}
	if inList {
		y.buf = append(y.buf, ' ')
	} else {
		y.buf = append(y.buf, '\n')
	}
	y.node(column, inList)
}

func (y *yamlWriter) pad(column int) {
	for range column {
		y.buf = append(y.buf, ' ')
	}
}

// scalar writes a string, number or word.
func (y *yamlWriter) scalar() {
	start := y.at
	if y.at < len(y.json) && y.json[y.at] == '"' {
		for y.at++; y.at < len(y.json) && y.json[y.at] != '"'; y.at++ {
			if y.json[y.at] == '\\' {
				y.at++
			}
		}
		y.at++
		y.buf = appendYAMLString(y.buf, inventory.Unquote(y.json[start:y.at]))
		return
	}
	for y.at < len(y.json) && !strings.ContainsRune(",]}", rune(y.json[y.at])) {
		y.at++
	}
	y.buf = append(y.buf, y.json[start:y.at]...)
}

// appendYAMLString appends a string as it is if nobody takes that for something
// else, and in quotes otherwise.
func appendYAMLString(buf []byte, s string) []byte {
	if plainYAML(s) {
		return append(buf, s...)
	}
	buf = append(buf, '"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			buf = append(buf, '\\', byte(c))
		case c == '\n':
			buf = append(buf, '\\', 'n')
		case c == '\t':
			buf = append(buf, '\\', 't')
		case c == '\r':
			buf = append(buf, '\\', 'r')
		case c < ' ' || c >= 0x7f && c < 0xa0:
			buf = append(buf, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
		case c == '\u2028' || c == '\u2029' || c >= 0xfdd0 && c <= 0xfdef || c == 0xfeff || c == 0xfffe || c == 0xffff:
			buf = append(buf, '\\', 'u', hexDigits[c>>12], hexDigits[c>>8&15], hexDigits[c>>4&15], hexDigits[c&15])
		default:
			buf = utf8.AppendRune(buf, c)
		}
	}
	return append(buf, '"')
}

// plainYAML reports whether a string starts with a letter, has nothing in it that
// means something, and is no word that means something to any version of YAML.
func plainYAML(s string) bool {
	if s == "" || !(s[0] >= 'a' && s[0] <= 'z' || s[0] >= 'A' && s[0] <= 'Z' || s[0] == '/') {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && !strings.ContainsRune("-_./:@+=", rune(c)) || c == ':' && i == len(s)-1 {
			return false
		}
	}
	switch strings.ToLower(s) {
	case "y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf", "infinity":
		return false
	}
	return true
}
