package controller

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Reasons of conditions.
const (
	reasonReady             = "Ready"
	reasonInvalidSpec       = "InvalidSpec"
	reasonInvalidExpression = "InvalidExpression"
	reasonResourceNotFound  = "ResourceNotFound"
	reasonDiscoveryFailed   = "DiscoveryFailed"
	reasonSecretsRefused    = "SecretsRefused"
	reasonProfileNotFound   = "ProfileNotFound"
	reasonProfileNotReady   = "ProfileNotReady"
	reasonSuspended         = "Suspended"
	reasonForbidden         = "Forbidden"
	reasonPartlyForbidden   = "PartlyForbidden"
	reasonAccessUnknown     = "AccessUnknown"
	reasonSynced            = "Synced"
	reasonNotSynced         = "NotSynced"
	reasonFresh             = "Fresh"
	reasonStale             = "Stale"
	reasonExtracted         = "Extracted"
	reasonNotImplemented    = "NotImplemented"
	reasonSecretNotFound    = "SecretNotFound"
	reasonSecretForbidden   = "SecretForbidden"
	reasonSecretUnreadable  = "SecretUnreadable"
	reasonOpenFailed        = "OpenFailed"
	reasonSinkNotFound      = "SinkNotFound"
	reasonSinkNotReady      = "SinkNotReady"
	reasonNoSinks           = "NoSinks"
	reasonExported          = "Exported"
	reasonFinalizer         = "FinalizerForbidden"
	reasonForgetting        = "Forgetting"
)

// problem is what is wrong with a spec: the reason and message of a condition
// whose status is not as it should be. The message names the field and the mend.
type problem struct {
	reason, message string
}

func problemf(reason, format string, args ...any) *problem {
	return &problem{reason: reason, message: fmt.Sprintf(format, args...)}
}

const maxConditionMessage = 1024

// setCondition sets a condition; its time of transition changes with the status
// alone.
func setCondition(conditions *[]metav1.Condition, generation int64, name string, status metav1.ConditionStatus, reason, message string) {
	meta.SetStatusCondition(conditions, metav1.Condition{
		Type: name, Status: status, Reason: reason, Message: clip(message), ObservedGeneration: generation,
		LastTransitionTime: *metaTime(time.Now()),
	})
}

// setVerdict sets a condition that is True unless there is a problem.
func setVerdict(conditions *[]metav1.Condition, generation int64, name string, p *problem, reason, message string) {
	if p != nil {
		setCondition(conditions, generation, name, metav1.ConditionFalse, p.reason, p.message)
		return
	}
	setCondition(conditions, generation, name, metav1.ConditionTrue, reason, message)
}

// clip returns s on one line of bounded length.
func clip(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
	if len(s) <= maxConditionMessage {
		return s
	}
	n := maxConditionMessage - len("...")
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "..."
}

// some joins the first few of items, and says how many more there are.
func some(items []string, most int, separator string) string {
	if len(items) <= most {
		return strings.Join(items, separator)
	}
	return fmt.Sprintf("%s and %d more", strings.Join(items[:most], separator), len(items)-most)
}
