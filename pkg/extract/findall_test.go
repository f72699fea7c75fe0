package extract

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// FuzzFindAll checks that paying for what is read changes no result.
func FuzzFindAll(f *testing.F) {
	patterns := []string{
		"", "a", "a*", "a+?", "a.*b|a", "b|a.*c", "^a", "(?m)^a*$", "$", `\b`, `\b\w`, `\B.`, "(?i)A|b", "[^a]", "(a)(b)?", `\Qa.`, "é|日*",
		"(?s).", ".", "(?-s).", `\z`, `\A`, "a{2,3}", "(?P<n>a|b)*", "a??", "(?U)a+", `(?m)$|^`, "x*y|", `\n`, `\xff`, "[[:^ascii:]]",
	}
	for _, pattern := range patterns {
		for _, s := range []string{"", "a", "aab a\nba", "éa日日\xff\xe6\x97a", "\n\naa\n", "xxy.a.", "\u2028\xc3\xa9\xa9b"} {
			f.Add(pattern, s, -1)
			f.Add(pattern, s, 2)
		}
	}
	f.Fuzz(func(t *testing.T, pattern, s string, limit int) {
		re, err := compileRegex(pattern)
		if err != nil || re.states*(len(s)+1) > 100_000 {
			return
		}
		got, err := re.findAll(nil, s, limit)
		if want := regexp.MustCompile(pattern).FindAllString(s, limit); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q in %q, %d at most: got %q %v, want %q", pattern, s, limit, got, err, want)
		}
	})
}

// TestFindAllPaysForWhatItReads: many matches are dear only if the search for
// each reads far.
func TestFindAllPaysForWhatItReads(t *testing.T) {
	object := map[string]any{"a": strings.Repeat("a", 400_000), "words": strings.Repeat("item1 ", 4000)}
	for expression, want := range map[string]Reason{
		`object.a.findAll("a.*b|a").size()`:              CostExceeded,
		`object.a.findAll("a.*b|a" + "", 300000).size()`: CostExceeded,
		`object.a.findAll("(?:a*b)?").size()`:            CostExceeded,
		`object.a.findAll("a.*b|a", 2).size()`:           "",
		`object.a.findAll("a+").size()`:                  "",
		`object.words.findAll("[a-z]+[0-9]").size()`:     "",
		`object.words.findAll("[a-z]").size()`:           "",
	} {
		_, err := extractOne(t, celAttribute(expression, "integer"), object)
		if err == nil && want != "" || err != nil && err.Reason != want {
			t.Errorf("%s: got %v, want %q", expression, err, want)
		}
	}
}
