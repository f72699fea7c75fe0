// Command kollect looks at what inventories have exported, and removes it, with
// the caller's own rights.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"kollect.io/kollect/pkg/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := cli.Run(ctx, os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
	stop()
	os.Exit(status)
}
