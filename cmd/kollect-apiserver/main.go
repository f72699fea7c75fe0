// Command kollect-apiserver serves inventories of Kubernetes resources as an
// aggregated API, and exports them to sinks.
package main

import (
	"os"
	_ "time/tzdata" // time zones in expressions are the same on every host

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/component-base/cli"

	"kollect.io/kollect/pkg/apiserver"
)

func main() {
	ctx := genericapiserver.SetupSignalContext()
	os.Exit(cli.Run(apiserver.NewCommand(ctx)))
}
