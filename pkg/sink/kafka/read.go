package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// fetchBytes bounds what a broker sends at once, but for one batch.
	fetchBytes = 4 << 20
	// fetchWait is how long a broker waits for records, if there are none.
	fetchWait = 100 * time.Millisecond
)

// extent is where a partition begins and ends.
type extent struct {
	start  int64 // of the first record that is kept
	stable int64 // before it is no record of an open transaction
	end    int64 // after the last record
}

// Special timestamps of ListOffsets.
const (
	latest   = -1
	earliest = -2
)

func (e *Emitter) extent(ctx context.Context, partition int32) (x extent, err error) {
	if x.start, err = e.listOffset(ctx, partition, earliest, 0); err != nil {
		return x, err
	}
	if x.stable, err = e.listOffset(ctx, partition, latest, 1); err != nil { // before the end, which is above
		return x, err
	}
	x.end, err = e.listOffset(ctx, partition, latest, 0)
	return x, err
}

func (e *Emitter) listOffset(ctx context.Context, partition int32, timestamp int64, isolation int8) (int64, error) {
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	for failures := 0; ; failures++ {
		request := kmsg.NewPtrListOffsetsRequest()
		request.IsolationLevel = isolation
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.Timestamp = partition, timestamp
		topic := kmsg.NewListOffsetsRequestTopic()
		topic.Topic, topic.Partitions = e.topic, append(topic.Partitions, p)
		request.Topics = append(request.Topics, topic)
		response, err := request.RequestWith(ctx, e.client)
		if err != nil {
			return 0, cause(ctx, err)
		}
		if len(response.Topics) != 1 || len(response.Topics[0].Partitions) != 1 {
			return 0, errors.New("the broker did not tell where the partition ends")
		}
		found := response.Topics[0].Partitions[0]
		err = kerr.ErrorForCode(found.ErrorCode)
		if err == nil {
			return found.Offset, nil
		}
		if !kerr.IsRetriable(err) || !e.pause(ctx, failures) {
			return 0, err
		}
	}
}

// pause waits before a try, and reports whether there may be one.
func (e *Emitter) pause(ctx context.Context, failures int) bool {
	timer := time.NewTimer(e.backoff(failures))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// scan calls take with the records of committed transactions from an offset on and
// before another, which is not past the stable one.
func (e *Emitter) scan(ctx context.Context, partition int32, from, to int64, take func(*kgo.Record) error) error {
	return e.fetch(ctx, partition, from, to, true, take)
}

// fetch calls take with records from an offset on and before another: those of
// committed transactions, or all, and what ends transactions too.
func (e *Emitter) fetch(ctx context.Context, partition int32, from, to int64, committed bool, take func(*kgo.Record) error) error {
	options := kgo.ProcessFetchPartitionOpts{Topic: e.topic, Partition: partition, KeepControlRecords: !committed}
	if committed {
		options.IsolationLevel = kgo.ReadCommitted()
	}
	for from < to {
		found, throttled, err := e.fetchOnce(ctx, partition, from, committed)
		if err != nil {
			return err
		}
		options.Offset = from
		records, next := kgo.ProcessFetchPartition(options, found, e.decompress, nil)
		if records.Err != nil {
			return fmt.Errorf("read partition %d from %d: %w", partition, from, records.Err)
		}
		for _, r := range records.Records {
			if r.Offset >= to {
				return nil
			}
			if err := take(r); err != nil {
				return err
			}
		}
		switch {
		case next > from:
			from = next
		case !throttled: // what was there is compacted away
			return nil
		}
	}
	return nil
}

// fetchOnce asks the partition's leader once, and once more if there is another.
func (e *Emitter) fetchOnce(ctx context.Context, partition int32, from int64, committed bool) (_ *kmsg.FetchResponseTopicPartition, throttled bool, err error) {
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	for failures := 0; ; failures++ {
		known, err := e.facts(ctx)
		if err != nil {
			return nil, false, err
		}
		if int(partition) >= len(known.leaders) {
			return nil, false, fmt.Errorf("topic %s has no partition %d any more", e.topic, partition)
		}
		response, err := e.client.Broker(int(known.leaders[partition])).RetriableRequest(ctx, e.fetchRequest(known, partition, from, committed))
		if err != nil {
			return nil, false, cause(ctx, err)
		}
		answer := response.(*kmsg.FetchResponse)
		err = kerr.ErrorForCode(answer.ErrorCode)
		if err == nil && (len(answer.Topics) != 1 || len(answer.Topics[0].Partitions) != 1) {
			if answer.ThrottleMillis > 0 && len(answer.Topics) == 0 {
				continue
			}
			err = errors.New("the broker's answer is of another partition")
		}
		if err == nil {
			found := &answer.Topics[0].Partitions[0]
			if err = kerr.ErrorForCode(found.ErrorCode); err == nil {
				return found, answer.ThrottleMillis > 0, nil
			}
		}
		if !kerr.IsRetriable(err) || !e.pause(ctx, failures) {
			return nil, false, err
		}
		e.forget() // the leader, or the topic, is another
	}
}

func (e *Emitter) fetchRequest(known *facts, partition int32, from int64, committed bool) *kmsg.FetchRequest {
	request := kmsg.NewPtrFetchRequest()
	request.MaxWaitMillis, request.MinBytes, request.MaxBytes = int32(fetchWait.Milliseconds()), 1, fetchBytes
	if committed {
		request.IsolationLevel = 1
	}
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes, p.CurrentLeaderEpoch = partition, from, fetchBytes, -1
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID = e.topic, known.id
	topic.Partitions = append(topic.Partitions, p)
	request.Topics = append(request.Topics, topic)
	return request
}

// read calls take with the inventory's records of committed transactions, from an
// offset on: those before the stable offset, and of those past it, where somebody's
// transaction is open, the ones whose transactions have ended. It may repeat the
// latter, all of them in order.
func (e *Emitter) read(ctx context.Context, p place, partition int32, from int64, x extent, take func(last string, r *kgo.Record) error) error {
	err := e.scan(ctx, partition, from, x.stable, func(r *kgo.Record) error {
		if last, ours := p.last(r.Key); ours {
			return take(last, r)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return e.readTail(ctx, p, partition, x, take)
}

// readTail reads from the stable offset on.
func (e *Emitter) readTail(ctx context.Context, p place, partition int32, x extent, take func(last string, r *kgo.Record) error) error {
	deadline, cancel := e.bounded(ctx)
	defer cancel()
	for failures := 0; ; failures++ {
		open, err := e.readSettled(ctx, p, partition, x, take)
		if err != nil || !open {
			return err
		}
		// A transaction that is committed, or aborted, has no mark of that in the
		// partition for a moment.
		ongoing, err := e.ongoing(ctx, p)
		if err != nil || ongoing {
			return err
		}
		if !e.pause(deadline, failures) {
			return fmt.Errorf("wait for the end of a transaction: %w", cause(deadline, deadline.Err()))
		}
		if x.end, err = e.listOffset(ctx, partition, latest, 0); err != nil {
			return err
		}
	}
}

// readSettled reads what is past the stable offset, and reports whether there are
// records of the inventory whose transaction has not ended there.
func (e *Emitter) readSettled(ctx context.Context, p place, partition int32, x extent, take func(last string, r *kgo.Record) error) (open bool, err error) {
	pending := map[int64][]*kgo.Record{} // by producer
	err = e.fetch(ctx, partition, x.stable, x.end, false, func(r *kgo.Record) error {
		if !r.Attrs.IsControl() {
			if _, ours := p.last(r.Key); ours {
				pending[r.ProducerID] = append(pending[r.ProducerID], r)
			}
			return nil
		}
		settled := pending[r.ProducerID]
		delete(pending, r.ProducerID)
		if !commits(r) {
			return nil
		}
		for _, r := range settled {
			last, _ := p.last(r.Key)
			if err := take(last, r); err != nil {
				return err
			}
		}
		return nil
	})
	return len(pending) > 0, err
}

// commits reports whether a control record commits a transaction. Its key is a
// version and a type, of which 0 aborts and 1 commits.
func commits(r *kgo.Record) bool {
	return len(r.Key) >= 4 && binary.BigEndian.Uint16(r.Key[2:]) == 1
}

// ongoing reports whether the inventory's transaction is open, or there is none: not
// if it was committed or aborted.
func (e *Emitter) ongoing(ctx context.Context, p place) (bool, error) {
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	request := kmsg.NewPtrDescribeTransactionsRequest()
	request.TransactionalIDs = []string{p.transactionalID(e.topic)}
	response, err := request.RequestWith(ctx, e.client)
	if err != nil {
		return false, cause(ctx, err)
	}
	if len(response.TransactionStates) != 1 {
		return false, errors.New("the broker did not tell of the transaction")
	}
	state := response.TransactionStates[0]
	err = kerr.ErrorForCode(state.ErrorCode)
	if errors.Is(err, kerr.TransactionalIDNotFound) {
		return true, nil
	}
	return state.State == "Ongoing", err
}
