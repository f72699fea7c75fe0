package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"kollect.io/kollect/test/controlplane"
	"kollect.io/kollect/test/services/kafka"
)

type kafkaService struct{}

const kafkaTopic = "kollect"

func (kafkaService) name() string { return "kafka" }

func (k kafkaService) start(ctx context.Context, d *dev, cp *controlplane.ControlPlane) (string, error) {
	if err := d.need(ctx, "need_kafka"); err != nil {
		return "", err
	}
	folder := filepath.Join(d.dir, k.name())
	if err := os.RemoveAll(folder); err != nil { // of one that ended by itself
		return "", err
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		return "", err
	}
	server, err := kafka.Make(ctx, folder, d.out)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf(`apiVersion: kollect.io/v1alpha1
kind: KollectClusterSink
metadata: {name: kafka}
spec: {type: kafka, kafka: {brokers: [%q], topic: %s}}
`, server.Address(), kafkaTopic), cp.StartProgram(ctx, controlplane.Program{
			Name: k.name(), Command: server.Command(context.WithoutCancel(ctx)), Ready: server.Ready,
		})
}

func (kafkaService) address(ctx context.Context, cp *controlplane.ControlPlane) (string, error) {
	out, err := cp.Kubectl(ctx, "get", "kcsink", "kafka", "-o", "jsonpath={.spec.kafka.brokers[0]}")
	return string(out), err
}

func (kafkaService) reading(address string) string {
	return fmt.Sprintf("kcat -b %s -t %s -C -e -q -f '%%k %%s\\n' -X isolation.level=read_committed", address, kafkaTopic)
}

func (kafkaService) show(ctx context.Context, d *dev, address string) error {
	kcat := exec.CommandContext(ctx, "kcat", "-b", address, "-t", kafkaTopic, "-C", "-e", "-q", "-f", "%k %s\n",
		"-X", "isolation.level=read_committed", "-o", "beginning", "-c", strconv.Itoa(demoEvents))
	kcat.Stdout, kcat.Stderr = d.out, d.out
	return kcat.Run()
}
