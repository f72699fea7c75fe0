package nats

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"kollect.io/kollect/pkg/sink"
)

const (
	// clusterReplicas is of the stream that is created on a cluster of servers.
	clusterReplicas = 3
	// minMajor and minMinor are of the oldest server that can fence.
	minMajor, minMinor = 2, 11
)

// facts are what is known of the stream.
type facts struct {
	subjects   []string
	atomic     bool // it takes atomic batches
	replicated bool // other servers have it, too
	expires    bool // it takes messages that expire, and has one of a subject
	maxSize    int  // of a message; 0: none
}

// start looks whether the server and the stream fit.
func (e *Emitter) start(ctx context.Context) (err error) {
	if e.js, err = jetstream.New(e.conn); err != nil {
		return e.explain("use JetStream", err)
	}
	if version := e.conn.ConnectedServerVersion(); !fits(version) {
		return sink.Permanent(fmt.Errorf("spec.nats.url: the server's version is %s: use %d.%d or later", version, minMajor, minMinor))
	}
	_, err = e.facts(ctx)
	return err
}

func fits(version string) bool {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return false
	}
	major, err := strconv.Atoi(parts[0])
	minor, err2 := strconv.Atoi(parts[1])
	return err == nil && err2 == nil && (major > minMajor || major == minMajor && minor >= minMinor)
}

// facts returns what is known of the stream. It creates the stream if it is not
// there.
func (e *Emitter) facts(ctx context.Context) (*facts, error) {
	e.mu.Lock()
	known := e.known
	e.mu.Unlock()
	if known != nil {
		return known, nil
	}
	ctx, done := e.bounded(ctx)
	defer done()
	stream, err := e.js.Stream(ctx, e.stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) && e.mustExist {
		return nil, fmt.Errorf("stream %s: %w", e.stream, sink.ErrAbsent)
	}
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = e.js.CreateStream(ctx, e.wanted())
	}
	if err != nil {
		return nil, e.explain("look up stream "+e.stream, cause(ctx, err))
	}
	config := stream.CachedInfo().Config
	if problem := unfit(config); problem != "" {
		return nil, sink.Permanent(fmt.Errorf("spec.nats.stream: stream %s does not fit: %s", e.stream, problem))
	}
	known = &facts{
		subjects:   config.Subjects,
		atomic:     config.AllowAtomicPublish,
		replicated: config.Replicas > 1,
		expires:    config.AllowMsgTTL && config.MaxMsgsPerSubject == 1,
		maxSize:    max(int(config.MaxMsgSize), 0),
	}
	e.mu.Lock()
	e.known = known
	e.mu.Unlock()
	return known, nil
}

// forget has the stream looked up again: something about it is not as it was.
func (e *Emitter) forget() {
	e.mu.Lock()
	e.known = nil
	e.mu.Unlock()
}

// wanted is the stream that is created: one message of each row, kept for good.
func (e *Emitter) wanted() jetstream.StreamConfig {
	config := jetstream.StreamConfig{
		Name:               e.stream,
		Description:        "Rows of Kollect's inventories, and what became of them",
		Subjects:           []string{root + ".>"},
		Storage:            jetstream.FileStorage,
		MaxMsgsPerSubject:  1,
		AllowMsgTTL:        true,
		AllowAtomicPublish: true,
	}
	if e.conn.ConnectedClusterName() != "" {
		config.Replicas = clusterReplicas
	}
	return config
}

// unfit says what of a stream would lose rows in silence, and the mend.
func unfit(c jetstream.StreamConfig) string {
	switch {
	case c.Mirror != nil:
		return "it is a mirror: name the stream that it mirrors, or another"
	case c.Sealed:
		return "it is sealed: name another"
	case c.NoAck:
		return "no_ack is set: unset it"
	case c.Retention != jetstream.LimitsPolicy:
		return fmt.Sprintf("its retention is %s, so that consumers remove rows: name one with retention limits", strings.ToLower(c.Retention.String()))
	case c.MaxAge > 0:
		return fmt.Sprintf("max_age is %s, so that rows that do not change expire: set it to 0", c.MaxAge)
	case (c.MaxMsgs > 0 || c.MaxBytes > 0) && c.Discard != jetstream.DiscardNew:
		return "max_msgs or max_bytes removes the oldest rows: set discard to new, or the limits to -1"
	case c.MaxMsgsPerSubject > 0 && c.DiscardNewPerSubject:
		return "discard_new_per_subject refuses what changes: unset it"
	case c.SubjectTransform != nil:
		return "it has a subject_transform: remove it"
	}
	return ""
}

// takes returns an error unless the stream has the subjects of the place.
func (e *Emitter) takes(known *facts, p place) error {
	for _, subject := range known.subjects {
		if covers(subject, p.all()) {
			return nil
		}
	}
	e.forget()
	return sink.Permanent(fmt.Errorf("spec.nats.stream: stream %s has the subjects %s: add %s.> to it", e.stream, strings.Join(known.subjects, ", "), root))
}
