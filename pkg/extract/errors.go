package extract

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Reason says in one word why an attribute or a match has no value. It can be
// the reason of a condition.
type Reason string

// The reasons.
const (
	// InvalidExpression: the expression, or the type beside it, is unusable.
	InvalidExpression Reason = "InvalidExpression"
	// CostExceeded: the evaluation was stopped at its limit.
	CostExceeded Reason = "CostExceeded"
	// WrongType: the expression met or returned a value of another type.
	WrongType Reason = "WrongType"
	// NotFound: the object has no such field, index or value.
	NotFound Reason = "NotFound"
	// TooLarge: the value is larger or deeper than an attribute may be.
	TooLarge Reason = "TooLarge"
	// EvaluationFailed: any other failure, such as a string that is no quantity.
	EvaluationFailed Reason = "EvaluationFailed"
)

// maxMessage bounds the length of messages, in bytes.
const maxMessage = 1024

// AttributeError says why an attribute has no value.
type AttributeError struct {
	// Attribute is the attribute's name.
	Attribute string
	Reason    Reason
	// Message names the field of the profile, what is wrong and the mend, in at
	// most about a thousand bytes on one line. It may quote the expression, and
	// never holds a value that was read from an object.
	Message string
}

// Error returns the message.
func (e AttributeError) Error() string { return e.Message }

// MatchError says why a match has no answer; its message follows the rules of
// AttributeError's.
type MatchError struct {
	Reason  Reason
	Message string
}

// Error returns the message.
func (e *MatchError) Error() string { return e.Message }

// failure is why an expression has no value. Its detail never holds a value
// that was read from an object.
type failure struct {
	reason Reason
	detail string
}

func failf(reason Reason, format string, args ...any) *failure {
	return &failure{reason: reason, detail: fmt.Sprintf(format, args...)}
}

// message returns the failure's message for the named field.
func (f *failure) message(field string) string {
	return clip(field+": "+f.detail, maxMessage)
}

// clip returns s on one line of at most n bytes.
func clip(s string, n int) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "..."
}
