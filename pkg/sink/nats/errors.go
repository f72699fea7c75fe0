package nats

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"kollect.io/kollect/pkg/sink"
)

// Codes of the server's errors that jetstream has no names for.
const (
	codeMessageTooLarge   = 10054
	codeSubjectsOverlap   = 10065
	codeMaxBytes          = 10077
	codeBatchTooLarge     = 10199
	codeBatchDuplicate    = 10201
	codeInsufficientPeers = 10005
)

// explain says what err, in the course of doing, means for the sink: fenced,
// permanent, or worth another try; without secrets.
func (e *Emitter) explain(doing string, err error) error {
	if err == nil {
		return nil
	}
	wrapped := fmt.Errorf("%s: %w", doing, e.redact.Hide(err.Error(), err))
	if sink.IsPermanent(err) {
		return wrapped
	}
	var answer jetstream.JetStreamError
	if errors.As(err, &answer) && answer.APIError() != nil {
		switch answer.APIError().ErrorCode {
		case jetstream.JSErrCodeStreamWrongLastSequence, jetstream.JSErrCodeStreamWrongLastSequenceConstant, codeBatchDuplicate:
			return fmt.Errorf("%s: the stream was written by another meanwhile: %w", doing, sink.ErrFenced)
		case jetstream.JSErrCodeJetStreamNotEnabled, jetstream.JSErrCodeJetStreamNotEnabledForAccount:
			return sink.Permanent(fmt.Errorf("%w: enable JetStream at the server, and for the account of the sink's credentials", wrapped))
		case codeSubjectsOverlap:
			return sink.Permanent(fmt.Errorf("%w: another stream has %s.>: name it in spec.nats.stream, or remove the subject from it", wrapped, root))
		case codeMessageTooLarge:
			return sink.Permanent(fmt.Errorf("%w: raise max_msg_size of the stream", wrapped))
		case codeBatchTooLarge:
			return sink.Permanent(fmt.Errorf("%w: raise max_batch_size of the server to %d", wrapped, batchMessages))
		case codeMaxBytes:
			return fmt.Errorf("%w: give the stream more room", wrapped)
		case codeInsufficientPeers:
			return fmt.Errorf("%w: the stream is created with %d replicas; bring up as many servers, or create the stream yourself", wrapped, clusterReplicas)
		}
		return wrapped
	}
	switch {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked):
		return sink.Permanent(fmt.Errorf("%w: mend the credentials in the sink's Secret", wrapped))
	case errors.Is(err, nats.ErrPermissionViolation):
		return sink.Permanent(fmt.Errorf("%w: allow it to the user of the sink's credentials", wrapped))
	case errors.Is(err, nats.ErrSecureConnRequired):
		return sink.Permanent(fmt.Errorf("%w: use a tls:// URL in spec.nats.url", wrapped))
	case errors.Is(err, nats.ErrSecureConnWanted):
		return sink.Permanent(fmt.Errorf("%w: the server has no TLS: set it up there, or use a nats:// URL without ca.crt and tls.crt", wrapped))
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse):
		return fmt.Errorf("%w: JetStream is not there, or has no leader now", wrapped)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout), errors.Is(err, errLost):
		return e.explainSilence(doing, wrapped)
	}
	return wrapped
}

// explainSilence says why a request may have had no answer: the server does not
// answer what it does not allow.
func (e *Emitter) explainSilence(doing string, wrapped error) error {
	e.mu.Lock()
	denied := e.waiting.denied
	e.mu.Unlock()
	if denied != nil {
		return e.explain(doing, denied)
	}
	if e.conn != nil && !e.conn.IsConnected() {
		if last := e.conn.LastError(); last != nil && !errors.Is(last, context.DeadlineExceeded) && !errors.Is(last, nats.ErrTimeout) {
			return e.explain(doing+": "+errLost.Error(), last)
		}
	}
	return wrapped
}

// public are the keys of a Secret whose values may be told.
var public = []string{"ca.crt", "tls.crt", "username"}
