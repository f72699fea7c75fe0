package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// demoEvents is how many events the demo shows.
const demoEvents = 5

// printEvents prints the events of rows, from the first one on: so many, or, if
// most is 0, all of them until ctx ends.
func printEvents(ctx context.Context, out io.Writer, address string, most int) error {
	conn, err := nats.Connect(address)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", address, err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	consumer, err := js.OrderedConsumer(ctx, natsStream, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return fmt.Errorf("read stream %s: %w", natsStream, err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		return err
	}
	defer messages.Stop()
	for n := 0; most == 0 || n < most; {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read stream %s: %w", natsStream, err)
		}
		if printEvent(out, m) {
			n++
		}
	}
	return nil
}

// printEvent prints the event of a row, and reports whether it is one.
func printEvent(out io.Writer, m jetstream.Msg) bool {
	header := m.Headers().Get
	change, isRow := strings.CutPrefix(header("ce-type"), "io.kollect.row.")
	if !isRow {
		return false
	}
	var row struct {
		Source struct{ Namespace, Name string }
		// As it is in the event.
		Attributes json.RawMessage
	}
	if len(m.Data()) > 0 {
		if err := json.Unmarshal(m.Data(), &row); err != nil {
			fmt.Fprintf(out, "%s: %v\n", m.Subject(), err)
			return true
		}
	}
	name := row.Source.Namespace + "/" + row.Source.Name
	if len(m.Data()) == 0 {
		name = "row " + header("ce-subject")
	}
	fmt.Fprintf(out, "%-8s %-15s %-30s %s %s\n", strings.TrimSuffix(change, ".v1"), header("ce-kind"), name, header("ce-id"), row.Attributes)
	return true
}
