package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/sink"
)

// facts are what is known of the topic.
type facts struct {
	id      [16]byte
	leaders []int32 // of the partitions
	maxSize int     // of a batch of records
}

const (
	// tombstoneRetention is how long the record of a row that is gone is kept, at
	// least, in a topic that the sink creates: consumers that are away for longer miss
	// it.
	tombstoneRetention = "604800000"
	// maxBatch bounds what a batch takes in memory, whatever the topic's limit is.
	maxBatch = 64 << 20
)

// start creates the topic if it is not there, and finds out whether it fits.
func (e *Emitter) start(ctx context.Context, registry *kollectv1alpha1.SchemaRegistry, secret map[string][]byte, options Options) error {
	if _, err := e.facts(ctx); err != nil || registry == nil {
		return err
	}
	return e.register(ctx, registry, secret, options)
}

// facts looks the topic up, if what is known of it was forgotten.
func (e *Emitter) facts(ctx context.Context) (*facts, error) {
	e.mu.Lock()
	known := e.known
	e.mu.Unlock()
	if known != nil {
		return known, nil
	}
	const doing = "look up the topic"
	known, err := e.describe(ctx)
	if errors.Is(err, kerr.UnknownTopicOrPartition) && e.mustExist {
		return nil, fmt.Errorf("topic %s: %w", e.topic, sink.ErrAbsent)
	}
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		if err := e.create(ctx); err != nil {
			return nil, e.explain("create topic "+e.topic, err)
		}
		known, err = e.describe(ctx)
	}
	if err != nil {
		return nil, e.explain(doing, err)
	}
	if known.maxSize, err = e.validate(ctx); err != nil {
		return nil, e.explain(doing, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.known, e.maxSize = known, known.maxSize
	return known, nil
}

// forget has the topic looked up again: something about it is not as it was.
func (e *Emitter) forget() {
	e.mu.Lock()
	e.known = nil
	e.mu.Unlock()
}

// describe reads what partitions there are. It waits for one without a leader: the
// topic may have been created a moment ago.
func (e *Emitter) describe(ctx context.Context) (*facts, error) {
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	for failures := 0; ; failures++ {
		topic, err := e.metadata(ctx)
		if err != nil {
			return nil, err
		}
		found, err := partitionsOf(topic)
		if err == nil || !kerr.IsRetriable(err) || errors.Is(err, kerr.UnknownTopicOrPartition) {
			return found, err
		}
		if !e.pause(ctx, failures) {
			return nil, err
		}
	}
}

// metadata asks a broker what it knows of the topic.
func (e *Emitter) metadata(ctx context.Context) (*kmsg.MetadataResponseTopic, error) {
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	request := kmsg.NewPtrMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = &e.topic
	request.Topics = append(request.Topics, topic)
	response, err := request.RequestWith(ctx, e.client)
	if err != nil {
		return nil, cause(ctx, err)
	}
	if len(response.Topics) != 1 {
		return nil, fmt.Errorf("the broker told of %d topics", len(response.Topics))
	}
	return &response.Topics[0], nil
}

func partitionsOf(t *kmsg.MetadataResponseTopic) (*facts, error) {
	if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
		return nil, err
	}
	f := &facts{id: t.TopicID, leaders: make([]int32, len(t.Partitions))}
	for _, p := range t.Partitions {
		if p.Leader < 0 {
			return nil, kerr.LeaderNotAvailable
		}
		if int(p.Partition) >= len(f.leaders) || p.Partition < 0 {
			return nil, fmt.Errorf("the broker told of %d partitions and of number %d", len(f.leaders), p.Partition)
		}
		f.leaders[p.Partition] = p.Leader
	}
	if len(f.leaders) == 0 {
		return nil, kerr.LeaderNotAvailable
	}
	return f, nil
}

// create creates the topic with as many partitions and replicas as the broker does
// by default. It does not mind if somebody else does.
func (e *Emitter) create(ctx context.Context) error {
	request := kmsg.NewPtrCreateTopicsRequest()
	request.TimeoutMillis = int32(e.timeout.Milliseconds())
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = e.topic, -1, -1
	for name, value := range map[string]string{"cleanup.policy": "compact", "delete.retention.ms": tombstoneRetention} {
		config := kmsg.NewCreateTopicsRequestTopicConfig()
		config.Name, config.Value = name, &value
		topic.Configs = append(topic.Configs, config)
	}
	request.Topics = append(request.Topics, topic)
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	response, err := request.RequestWith(ctx, e.client)
	if err != nil {
		return cause(ctx, err)
	}
	for _, t := range response.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			if t.ErrorMessage != nil && *t.ErrorMessage != "" {
				err = fmt.Errorf("%w: %s", err, *t.ErrorMessage)
			}
			return err
		}
	}
	return e.awaitTopic(ctx)
}

// awaitTopic waits until brokers know of a topic that was created.
func (e *Emitter) awaitTopic(ctx context.Context) error {
	for failures := 0; ; failures++ {
		_, err := e.describe(ctx)
		if !errors.Is(err, kerr.UnknownTopicOrPartition) || !e.pause(ctx, failures) {
			return err
		}
	}
}

// validate returns the topic's limit of size, and an error if the topic would lose
// rows in silence.
func (e *Emitter) validate(ctx context.Context) (maxSize int, err error) {
	request := kmsg.NewPtrDescribeConfigsRequest()
	resource := kmsg.NewDescribeConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, e.topic
	resource.ConfigNames = []string{"cleanup.policy", "retention.ms", "retention.bytes", "max.message.bytes"}
	request.Resources = append(request.Resources, resource)
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	response, err := request.RequestWith(ctx, e.client)
	if err != nil {
		return 0, cause(ctx, err)
	}
	values := map[string]string{}
	for _, r := range response.Resources {
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
			return 0, err
		}
		for _, c := range r.Configs {
			if c.Value != nil {
				values[c.Name] = *c.Value
			}
		}
	}
	if reason := unfit(values); reason != "" {
		return 0, sink.Permanent(fmt.Errorf("spec.kafka.topic: topic %s does not fit: %s", e.topic, reason))
	}
	if maxSize, err = strconv.Atoi(values["max.message.bytes"]); err != nil || maxSize <= 0 {
		return 0, fmt.Errorf("max.message.bytes of topic %s is %q", e.topic, values["max.message.bytes"])
	}
	return min(maxSize, maxBatch), nil
}

// unfit says what of a topic would lose rows in silence, and the mend.
func unfit(values map[string]string) string {
	policy := values["cleanup.policy"]
	compacts, deletes := false, false
	for name := range strings.SplitSeq(policy, ",") {
		switch strings.TrimSpace(name) {
		case "compact":
			compacts = true
		case "delete":
			deletes = true
		}
	}
	switch {
	case !compacts:
		return fmt.Sprintf("cleanup.policy is %s, so that rows that do not change expire: set it to compact", policy)
	case deletes && values["retention.ms"] != "-1":
		return fmt.Sprintf("cleanup.policy is %s and retention.ms %s, so that rows that do not change expire: set cleanup.policy to compact", policy, values["retention.ms"])
	case deletes && values["retention.bytes"] != "-1":
		return fmt.Sprintf("cleanup.policy is %s and retention.bytes %s, so that rows that do not change expire: set cleanup.policy to compact", policy, values["retention.bytes"])
	}
	return ""
}
