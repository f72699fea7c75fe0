package bench

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
)

const changeWriters = 4

// changer writes changes of the seeded objects to etcd.
type changer struct {
	etcd          *clientv3.Client
	objects, rate int
	all           bool // whether each watcher selects all changes
	made          int  // in all rounds
}

// changeRound are the changes of a round, and when they were sent.
type changeRound struct {
	first, objects int
	all            bool
	puts           []clientv3.Op
	began          time.Time
	sent           []atomic.Int64 // nanoseconds after began, by change
}

// row returns which object the i-th change of the round changes: another each
// time, in no order.
func (r *changeRound) row(i int) int { return (r.first + i) * 7919 % r.objects }

// prepare encodes the changes of the next round.
func (c *changer) prepare(stored func(*corev1.ConfigMap) (string, []byte, error)) (*changeRound, error) {
	n := c.rate * watchSeconds
	r := &changeRound{first: c.made, objects: c.objects, all: c.all, began: time.Now(), sent: make([]atomic.Int64, n)}
	c.made += n
	for i := range n {
		cm := configMap(r.row(i))
		cm.Data["owner"] = changedPrefix + strconv.Itoa(r.first+i)
		key, value, err := stored(cm)
		if err != nil {
			return nil, err
		}
		r.puts = append(r.puts, clientv3.OpPut(key, string(value)))
	}
	return r, nil
}

const changedPrefix = "changed-"

var changedMember = []byte(`"owner":"` + changedPrefix)

// selected returns how many changes the i-th watcher selects.
func (r *changeRound) selected(i int) int {
	n := 0
	for change := range r.puts {
		if r.all || (r.row(change)-i)%versionLabels == 0 {
			n++
		}
	}
	return n
}

// sentAt returns when the change in a watch event was sent.
func (r *changeRound) sentAt(event []byte) (time.Time, bool) {
	at := bytes.Index(event, changedMember)
	if at < 0 {
		return time.Time{}, false
	}
	digits, _, _ := bytes.Cut(event[at+len(changedMember):], []byte{'"'})
	change, err := strconv.Atoi(string(digits))
	if err != nil || change < r.first || change >= r.first+len(r.sent) {
		return time.Time{}, false
	}
	return r.began.Add(time.Duration(r.sent[change-r.first].Load())), true
}

// write writes the changes at the rate, some at a time.
func (c *changer) write(ctx context.Context, r *changeRound) error {
	start := time.Now()
	var writers sync.WaitGroup
	var next atomic.Int64
	errs := make(chan error, changeWriters)
	for range changeWriters {
		writers.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(r.puts)); i = next.Add(1) - 1 {
				due := time.Second * time.Duration(i) / time.Duration(c.rate)
				pause(ctx, time.Until(start.Add(due)))
				r.sent[i].Store(int64(time.Since(r.began)))
				if _, err := c.etcd.Do(ctx, r.puts[i]); err != nil {
					errs <- fmt.Errorf("write a change: %w", err)
					return
				}
			}
		})
	}
	writers.Wait()
	close(errs)
	return <-errs
}

// pause returns after d, or when the context ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
