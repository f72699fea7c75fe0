package inventory

import (
	"mime"
	"strconv"
	"strings"

	"kollect.io/kollect/pkg/format"
)

// mediaType returns the media type of a format without parameters.
func mediaType(f format.Format) string {
	name, _, _ := strings.Cut(f.ContentType(), ";")
	return name
}

// mediaRange is a member of an Accept header (RFC 9110, 12.5.1).
type mediaRange struct {
	name    string // such as text/csv, text/* or */*
	quality float64
	place   int // in the header
}

// specificity returns how closely the range names the media type; 0: it does
// not.
func (r mediaRange) specificity(name string) int {
	group, _, _ := strings.Cut(name, "/")
	switch r.name {
	case name:
		return 3
	case group + "/*":
		return 2
	case "*/*":
		return 1
	}
	return 0
}

// acceptedFormat returns the format that the header prefers, JSON if it says
// nothing. Of those it prefers alike, that which it names most closely is taken,
// then that which it names first.
func acceptedFormat(header []string) (format.Format, bool) {
	if strings.TrimSpace(strings.Join(header, "")) == "" {
		return format.JSON, true
	}
	ranges := mediaRanges(header)
	var best format.Format
	var by mediaRange
	closest := 0
	for _, f := range format.All() {
		r, specificity := closestRange(ranges, mediaType(f))
		if specificity == 0 || r.quality == 0 {
			continue
		}
		better := best == "" || r.quality > by.quality
		if r.quality == by.quality {
			better = specificity > closest || specificity == closest && r.place < by.place
		}
		if better {
			best, by, closest = f, r, specificity
		}
	}
	return best, best != ""
}

// closestRange returns the range that speaks for a media type.
func closestRange(ranges []mediaRange, name string) (closest mediaRange, specificity int) {
	for _, r := range ranges {
		if s := r.specificity(name); s > specificity {
			closest, specificity = r, s
		}
	}
	return closest, specificity
}

// mediaRanges reads the members of an Accept header, without those that are
// malformed and those that ask for another form of Kubernetes' JSON.
func mediaRanges(header []string) []mediaRange {
	var ranges []mediaRange
	for i, member := range strings.Split(strings.Join(header, ","), ",") {
		name, parameters, err := mime.ParseMediaType(member)
		if err != nil || parameters["as"] != "" {
			continue
		}
		switch name {
		case "application/ndjson", "application/jsonl": // others' names for it
			name = mediaType(format.NDJSON)
		}
		ranges = append(ranges, mediaRange{name: name, quality: quality(parameters["q"]), place: i})
	}
	return ranges
}

// quality reads a weight, which is 1 if it is missing or malformed.
func quality(text string) float64 {
	q, err := strconv.ParseFloat(text, 64)
	if err != nil || !(q >= 0 && q <= 1) {
		return 1
	}
	return q
}

// acceptsGzip reports whether an Accept-Encoding header asks for gzip, and does
// not prefer the bytes as they are.
func acceptsGzip(header []string) bool {
	weights := map[string]float64{}
	for member := range strings.SplitSeq(strings.Join(header, ","), ",") {
		coding, parameter, _ := strings.Cut(strings.ToLower(strings.ReplaceAll(member, " ", "")), ";")
		weights[coding] = quality(strings.TrimPrefix(parameter, "q="))
	}
	gzip, ok := weights["gzip"]
	if !ok {
		gzip = weights["*"]
	}
	return gzip > 0 && gzip >= weights["identity"]
}
