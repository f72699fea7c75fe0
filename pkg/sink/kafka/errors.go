package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"kollect.io/kollect/pkg/sink"
)

var errSilent = errors.New("no answer in time")

// explain says what err, in the course of doing, means for the sink: fenced,
// permanent, or worth another try; without secrets.
func (e *Emitter) explain(doing string, err error) error {
	if err == nil {
		return nil
	}
	hidden := e.redact.Hide(err.Error(), err)
	if sink.IsPermanent(err) {
		return sink.Permanent(fmt.Errorf("%s: %w", doing, hidden))
	}
	// A transaction that another has aborted is one that can not be committed.
	if errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch) || errors.Is(err, kerr.InvalidTxnState) {
		return fmt.Errorf("%s: the topic was written by another meanwhile: %w", doing, sink.ErrFenced)
	}
	if mend := e.mend(err); mend != "" {
		return sink.Permanent(fmt.Errorf("%s: %w: %s", doing, hidden, mend))
	}
	return fmt.Errorf("%s: %w", doing, hidden)
}

// mend says what somebody has to do about an error that no other try can mend.
func (e *Emitter) mend(err error) string {
	is := func(targets ...error) bool {
		for _, target := range targets {
			if errors.Is(err, target) {
				return true
			}
		}
		return false
	}
	var cut *kgo.ErrFirstReadEOF
	switch {
	case is(kerr.SaslAuthenticationFailed) || strings.Contains(err.Error(), "oauth response"): // which says why not
		return "mend the credentials in the sink's Secret, or spec.kafka.saslMechanism"
	case is(kerr.UnsupportedSaslMechanism, kerr.IllegalSaslState) || strings.Contains(err.Error(), "SASL mechanism"):
		return "set spec.kafka.saslMechanism to one that the broker has"
	case is(kerr.TopicAuthorizationFailed):
		return fmt.Sprintf("allow Describe, DescribeConfigs, Read and Write on topic %s to the user of the sink's credentials, and Create if it is not there", e.topic)
	case is(kerr.TransactionalIDAuthorizationFailed):
		return fmt.Sprintf("allow Describe and Write on transactional IDs that begin with %s%s/ to the user of the sink's credentials", transactional, e.topic)
	case is(kerr.ClusterAuthorizationFailed):
		return fmt.Sprintf("allow Create on topic %s, or IdempotentWrite on the cluster before Kafka 3.0, to the user of the sink's credentials", e.topic)
	case is(kerr.MessageTooLarge, kerr.RecordListTooLarge):
		return "raise max.message.bytes of the topic"
	case is(kerr.PolicyViolation, kerr.InvalidTopicException, kerr.InvalidReplicationFactor):
		return "create the topic yourself, with cleanup.policy compact"
	case is(kerr.UnsupportedVersion):
		return "use Kafka 3.0 or later, or another that has transactions and can describe them"
	case errors.As(err, &cut):
		return "set spec.kafka.tls and spec.kafka.saslMechanism as the broker has it"
	}
	return ""
}

// cause returns why a request with a bounded context failed.
func cause(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// bounded returns a context for a request that must have an answer in time.
func (e *Emitter) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, e.timeout, fmt.Errorf("%w (%s): %w", errSilent, e.timeout, context.DeadlineExceeded))
}

// public are the keys of a Secret whose values may be told.
var public = []string{"ca.crt", "tls.crt", "username", "registry-username"}
