package kafka

import (
	"context"
	_ "embed" // for the project's POM
	"io"

	"kollect.io/kollect/test/services/maven"
)

//go:embed pom.xml
var pom []byte

// Fetch has Maven copy Apache Kafka, once, and returns the folder of the archives.
// It says on log what takes a while.
func Fetch(ctx context.Context, log io.Writer) (string, error) {
	return maven.Artifacts{Name: "kafka", Title: "Apache Kafka (43 MB)", POM: pom}.Fetch(ctx, log)
}
