package inventory

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

var hostileStrings = []string{
	"", "plain", `"`, `\`, `\"`, "a,b", "a:b", "{}", "[", "</script>&", "tab\tnewline\n\x00\x1f\x7f",
	"é", "日本語", "🚀", "\u2028\u2029", "\xff", "a\xc3", "\xed\xa0\x80", "\ufffd",
}

func TestAppendJSONString(t *testing.T) {
	for _, s := range hostileStrings {
		checkJSONString(t, s)
	}
	// Every byte at every place of a string that is looked at by the word.
	for c := range 256 {
		for length := 1; length < 20; length++ {
			for at := range length {
				s := strings.Repeat("x", at) + string([]byte{byte(c)}) + strings.Repeat("y", length-at-1)
				checkJSONString(t, s)
			}
		}
	}
}

func FuzzAppendJSONString(f *testing.F) {
	for _, s := range hostileStrings {
		f.Add(s)
	}
	f.Fuzz(checkJSONString)
}

func checkJSONString(t *testing.T, s string) {
	want, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if got := AppendJSONString([]byte("x"), s); string(got) != "x"+string(want) {
		t.Errorf("%q is written as %s, want %s", s, got[1:], want)
	}
	var back string
	if err := json.Unmarshal(AppendJSONString(nil, s), &back); err != nil || utf8.ValidString(s) && back != s {
		t.Errorf("%q is read back as %q: %v", s, back, err)
	}
}

func TestMember(t *testing.T) {
	const object = `{"":0,"a":"x","b":{"a":[1,"}",{"c":"]"}],"z":"\""},"c":[],"quote\"d":1,"z":null}`
	for _, test := range []struct {
		name, want string
		ok         bool
	}{
		{"", "0", true},
		{"a", `"x"`, true},
		{"b", `{"a":[1,"}",{"c":"]"}],"z":"\""}`, true},
		{"c", "[]", true},
		{"z", "null", true},
		{"quote", "", false},
		{"d", "", false},
		{"x", "", false},
	} {
		if got, ok := Member(object, test.name); got != test.want || ok != test.ok {
			t.Errorf("member %q is %s %v, want %s %v", test.name, got, ok, test.want, test.ok)
		}
	}
	if got, ok := Member("{}", "a"); ok {
		t.Errorf("the empty object has a member %s", got)
	}
}

func TestMembers(t *testing.T) {
	const object = `{"":0,"a":"x,}","b":{"a":[1,"}"]},"quote\"d":"\"","z":null}`
	want := []string{"", "0", "a", `"x,}"`, "b", `{"a":[1,"}"]}`, `quote\"d`, `"\""`, "z", "null"}
	for most := 2; most <= len(want); most += 2 {
		var got []string
		for name, value := range Members(object) {
			if got = append(got, name, value); len(got) == most {
				break
			}
		}
		if !slices.Equal(got, want[:most]) {
			t.Errorf("the first members are %q, want %q", got, want[:most])
		}
	}
	for _, object := range []string{"", "{", "{}", `{"`, `{"a`, `{"a"`, `{"a"}`, "[]", `["a"]`} {
		for name, value := range Members(object) {
			t.Errorf("%s has a member %q: %s", object, name, value)
		}
	}
}

func FuzzMember(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"a":1}`, `{"a":"\\","b":"\"","c":[[],{}]}`, `{"a":{"a":{"a":{}}},"é":-1e9}`,
		`{"`, `{"a`, `{"a"`, `{"a":`, `{"a":"`, `{"a":"\`, `["a"]`, ``, `{"a":1,`, `{"a"}]`,
	} {
		f.Add(s, "a")
	}
	f.Fuzz(func(t *testing.T, object, name string) {
		_, _ = Member(object, name) // must not panic, whatever it is given
		var members map[string]json.RawMessage
		if json.Unmarshal([]byte(object), &members) != nil {
			return
		}
		// As rows have it: without space and with sorted keys.
		compact, err := json.Marshal(members)
		if err != nil || members == nil {
			return
		}
		if err := json.Unmarshal(compact, &members); err != nil {
			t.Fatal(err)
		}
		names := []string{name}
		for n := range members {
			names = append(names, n)
		}
		for _, n := range names {
			if quoted := AppendJSONString(nil, n); string(quoted) != `"`+n+`"` {
				continue // needs escapes
			}
			want, has := members[n]
			if got, ok := Member(string(compact), n); ok != has || got != string(want) {
				t.Errorf("member %q of %s is %s %v, want %s %v", n, compact, got, ok, want, has)
			}
		}
	})
}
