package inventory

import (
	"encoding/json"
	"slices"
	"testing"
	"time"
)

func TestRowReturnsItsContent(t *testing.T) {
	for i, s := range hostileStrings {
		other := hostileStrings[(i+1)%len(hostileStrings)]
		labels := map[string]string{s: other, "a" + s: s, "b": ""}
		resource := &Resource{Group: s, Version: other, Resource: s, Kind: other}
		content := RowContent{
			Resource: resource, Target: &TargetRef{Namespace: s, Name: other}, Namespace: s, Name: other, UID: s + other,
			Created: testTime, Labels: labels, Attributes: []byte(`{"a":[1]}`),
		}
		row := NewRow(content)
		want := RowIdentity{Target: TargetRef{Namespace: s, Name: other}, Namespace: s, Name: other, UID: s + other}
		if row.Identity() != want || row.Target() != want.Target || row.Namespace() != s || row.Name() != other || row.UID() != s+other {
			t.Errorf("%q: identity %q, want %q", s, row.Identity(), want)
		}
		encoded, err := json.Marshal(labels)
		if err != nil {
			t.Fatal(err)
		}
		if row.Labels() != string(encoded) || row.Attributes() != `{"a":[1]}` || row.Resource() != resource {
			t.Errorf("%q: labels %s, want %s; attributes %s", s, row.Labels(), encoded, row.Attributes())
		}
		content.Attributes[2] = 'b'
		if row.Attributes() != `{"a":[1]}` {
			t.Errorf("the row shares the caller's memory")
		}
	}
}

func TestRowWithoutContent(t *testing.T) {
	row := NewRow(RowContent{Resource: &Resource{}, Target: &TargetRef{}})
	if row.Labels() != "{}" || row.Attributes() != "{}" || row.Created() != (time.Time{}) {
		t.Errorf("labels %s, attributes %s, created %v", row.Labels(), row.Attributes(), row.Created())
	}
}

func TestRowCreated(t *testing.T) {
	seen := map[RowHash]time.Time{}
	for _, created := range []time.Time{
		{}, time.Unix(0, 0).UTC(), time.Unix(-1, 0).UTC(), time.Unix(1<<40, 0).UTC(), testTime.In(time.FixedZone("", 3600)),
	} {
		row := NewRow(RowContent{Resource: &Resource{}, Target: &TargetRef{}, Created: created})
		if got := row.Created(); !got.Equal(created) || got.Location() != time.UTC {
			t.Errorf("created %v, want %v", got, created)
		}
		if other, ok := seen[row.Hash()]; ok {
			t.Errorf("created %v and %v have the same hash", created, other)
		}
		seen[row.Hash()] = created
	}
}

// Each part of a row's content counts in its hash, and where one part ends and
// the next begins.
func TestRowHashesDiffer(t *testing.T) {
	row := func(parts []string) *Row {
		return NewRow(RowContent{
			Resource: &Resource{Group: parts[0], Version: parts[1], Resource: parts[2], Kind: parts[3]},
			Target:   &TargetRef{Namespace: parts[4], Name: parts[5]}, Namespace: parts[6], Name: parts[7], UID: parts[8],
			Labels: map[string]string{parts[9]: parts[10]}, Attributes: []byte(parts[11]),
		})
	}
	parts := []string{"aa", "bb", "cc", "dd", "ee", "ff", "gg", "hh", "ii", "jj", "kk", `{"l":1}`}
	seen := map[RowHash]bool{row(parts).Hash(): true}
	for i := range parts {
		changed, shifted := slices.Clone(parts), slices.Clone(parts)
		changed[i] += "x"
		next := (i + 1) % len(parts)
		shifted[i], shifted[next] = parts[i][:1], parts[i][1:]+parts[next]
		seen[row(changed).Hash()], seen[row(shifted).Hash()] = true, true
	}
	if want := 1 + 2*len(parts); len(seen) != want {
		t.Errorf("%d hashes of %d different contents", len(seen), want)
	}
	if row(parts).Hash() != row(slices.Clone(parts)).Hash() {
		t.Error("equal contents have different hashes")
	}
}

func TestRowOrder(t *testing.T) {
	ordered := []RowIdentity{
		{},
		{UID: "a"},
		{Name: "a"},
		{Name: "a", UID: "a"},
		{Namespace: "a"},
		{Target: TargetRef{Name: "a"}},
		{Target: TargetRef{Name: "a"}, Namespace: "z", Name: "z", UID: "z"},
		{Target: TargetRef{Namespace: "a"}},
		{Target: TargetRef{Namespace: "a", Name: "b"}},
	}
	if !slices.IsSortedFunc(ordered, RowIdentity.Compare) {
		t.Error("identities are not in row order")
	}
	for i := range ordered[1:] {
		if ordered[i].Compare(ordered[i+1]) >= 0 || ordered[i+1].Compare(ordered[i]) <= 0 || ordered[i].Compare(ordered[i]) != 0 {
			t.Errorf("%v and %v do not compare as they should", ordered[i], ordered[i+1])
		}
	}
}

func TestNames(t *testing.T) {
	for got, want := range map[string]string{
		TargetRef{Name: "a"}.String(): "a", TargetRef{Namespace: "n", Name: "a"}.String(): "n/a",
		Ref{Name: "b"}.String(): "b", Ref{Namespace: "n", Name: "b"}.String(): "n/b",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
