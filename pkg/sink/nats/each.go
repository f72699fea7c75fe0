package nats

import (
	"context"
	"fmt"

	"kollect.io/kollect/pkg/sink"
)

// begin chooses how messages are written. Those of a large delta go through a pipeline
// where they can: a server alone writes, and syncs, a batch to a file of its own first,
// which takes it twice the time, and consumers see a part of a large delta either way.
func (w *writer) begin(ctx context.Context) (err error) {
	piped := !w.known.replicated && (w.large || !w.known.atomic)
	// What follows the checkpoint of an export that was cut short may still grow.
	if !w.known.atomic || piped || w.before.partial() {
		if err := w.claim(ctx); err != nil {
			return err
		}
	}
	if piped {
		w.pipeline, err = w.emitter.newPipeline()
	}
	return w.explain(err)
}

// claim notes that the content is about to change, so that who wrote before can't
// go on, and finds out whether he did since the rows were read.
func (w *writer) claim(ctx context.Context) error {
	doing := w.doing()
	m, err := w.checkpoint(w.delta.Begun())
	if err != nil {
		return err
	}
	claimed, err := w.emitter.publishOne(ctx, m)
	if err != nil {
		return w.emitter.explain(doing, err)
	}
	if w.before.partial() {
		next, err := w.emitter.get(ctx, map[string]any{"seq": w.view.last + 1, "next_by_subj": w.place.all()})
		if err != nil {
			return w.emitter.explain(doing, err)
		}
		if next == nil || next.Sequence != claimed {
			return fmt.Errorf("%s: the stream was written by another meanwhile: %w", doing, sink.ErrFenced)
		}
	}
	w.last = claimed
	return nil
}

// settle waits until all that went through the pipeline is stored. What follows says
// that it is, and goes another way.
func (w *writer) settle(ctx context.Context) error {
	p := w.pipeline
	if p == nil {
		return nil
	}
	if err := w.flush(ctx, w.delta.Begun()); err != nil {
		return err
	}
	if err := p.wait(ctx, p.sent); err != nil {
		return w.explain(err)
	}
	p.close()
	w.pipeline = nil
	w.messages = newMessages(w.place) // without conditions, and whom to answer
	return nil
}

// writeEach writes one message after the other, the checkpoint last, and only if
// there is no more to come.
func (w *writer) writeEach(ctx context.Context, mark sink.Mark) error {
	for _, m := range w.pending {
		expect(m, w.place, w.last)
		if _, err := w.emitter.publishOne(ctx, m); err != nil {
			return err
		}
	}
	if mark.Hash == "" && !mark.Forgotten {
		return nil
	}
	m, err := w.checkpoint(mark)
	if err != nil {
		return err
	}
	w.last, err = w.emitter.publishOne(ctx, m)
	return err
}
