// Command kollect looks at what inventories have exported, and removes it, with
// the caller's own rights.
package main

import (
	"os"

	genericapiserver "k8s.io/apiserver/pkg/server"

	"kollect.io/kollect/pkg/cli"
)

func main() {
	ctx := genericapiserver.SetupSignalContext()
	os.Exit(cli.Run(ctx, os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}
