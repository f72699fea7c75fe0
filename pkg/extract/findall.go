package extract

import (
	"fmt"
	"io"
	"regexp"
	"unicode/utf8"
)

// A search for all matches is no single pass: one that had to read far beyond a
// match, as a.*b|a does where there is no b, reads that again for the next. So
// findAll searches here match by match, and pays for each rune as it is read.

// continuation returns the expression that finds the next match of pattern, as
// its first group, in a text that begins one rune before where the search goes
// on. That rune can not be of the match; whether ^ and \b hold depends on it.
func continuation(pattern string) (*regexp.Regexp, error) {
	re, err := regexp.Compile(`\A(?s:.)(?s:.*?)(` + pattern + `)`)
	if err != nil {
		return nil, fmt.Errorf("invalid regular expression: %w", err)
	}
	return re, nil
}

// findAll returns what FindAllString does.
func (re *boundedRegex) findAll(state *activation, s string, limit int) ([]string, error) {
	if limit < 0 {
		limit = len(s) + 1
	}
	if limit == 0 {
		return nil, nil
	}
	next, err := re.next()
	if err != nil {
		return nil, err
	}
	var found []string
	for pos, lastEnd := 0, -1; len(found) < limit && pos <= len(s); {
		state.pay(1)
		start, end := 0, 0
		if pos == 0 {
			match := re.FindReaderIndex(&paidReader{state: state, text: s, states: re.states})
			if match == nil {
				break
			}
			start, end = match[0], match[1]
		} else {
			_, before := utf8.DecodeLastRuneInString(s[:pos])
			match := next.FindReaderSubmatchIndex(&paidReader{state: state, text: s[pos-before:], states: re.states})
			if match == nil {
				break
			}
			start, end = match[2]+pos-before, match[3]+pos-before
		}
		if end > pos || start != lastEnd { // none that is empty right after another
			found = append(found, s[start:end])
		}
		lastEnd = end
		if end > pos {
			pos = end
			continue
		}
		_, width := utf8.DecodeRuneInString(s[pos:])
		pos += max(1, width)
	}
	return found, nil
}

// paidReader reads text; each rune is work for every state.
type paidReader struct {
	state  *activation
	text   string
	states int
	work   int
}

// ReadRune implements io.RuneReader.
func (r *paidReader) ReadRune() (rune, int, error) {
	if r.text == "" {
		return 0, 0, io.EOF
	}
	if r.work += r.states; r.work >= regexWorkPerCost {
		r.state.pay(r.work / regexWorkPerCost)
		r.work %= regexWorkPerCost
	}
	c, width := utf8.DecodeRuneInString(r.text)
	r.text = r.text[width:]
	return c, width, nil
}
