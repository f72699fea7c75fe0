# Everything is a script or a Go program; this is the list of them.
.DEFAULT_GOAL := help
.PHONY: help demo up down build test soak verify generate bench

# As in hack/lib.sh, which says why.
export GOFLAGS := $(strip $(filter-out -trimpath,$(GOFLAGS)) -trimpath)

help: ## this list
	@echo 'Kollect: live snapshots of Kubernetes resources, as an API and as files.'
	@echo
	@echo 'To see it work:   make demo, later make down'
	@echo 'To work on it:    make up, then KUBECONFIG=_run/kubeconfig; after a change make down up'
	@echo 'Before a commit:  make verify test'
	@echo 'SINKS=... also starts these servers, each with a sink, for the demo to fill.'
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo 'It needs Go and git; make test also g++. Needed programs of Kubernetes are'
	@echo 'built once into _bin (some minutes), unless they are on PATH or in KUBEBUILDER_ASSETS.'

demo: _bin/dev ## start a control plane, fill it with samples and show what Kollect makes of them; SINKS=postgres,nats,kafka,http,git
	@_bin/dev demo $(SINKS)

up: _bin/dev ## start etcd, kube-apiserver and kollect-apiserver in the background, in _run; SINKS=postgres,nats,kafka,http,git
	@_bin/dev up $(SINKS)

down: _bin/dev ## end what up or demo started, and remove _run
	@_bin/dev down

build: require-go ## build the commands into _bin
	go build -o _bin/ ./cmd/...

test: ## run every test, race detector on, a real control plane included
	@hack/test.sh

soak: _bin/dev ## let servers crash 200 times and compare all destinations each time; ROUNDS=200 SEED=0 ONLY=
	@bash -c '. hack/lib.sh; need_cc; need_postgres; need_kafka'
	@_bin/dev binaries
	@_bin/dev kafka
	go test -race -vet=off -ldflags=-s -count=1 -timeout=1h -run=TestConformance ./pkg/sink/git -all
	go test -race -vet=off -ldflags=-s -count=1 -v -timeout=24h -run=TestDestinationsEqualTheRowsAfterCrashes ./test/crash -rounds=$(or $(ROUNDS),200) -seed=$(or $(SEED),0) -only='$(ONLY)'

verify: ## gofmt, vet, staticcheck, logcheck, govulncheck, generated code, tidy modules
	@hack/verify.sh

generate: require-go ## after a change of pkg/apis: deep copies, clients, OpenAPI and CRDs
	@hack/update-codegen.sh

bench: _bin/dev ## ratios beside their yardsticks, for benchstat; BENCH_OBJECTS=100000
	@_bin/dev binaries
	@_bin/dev kafka
	go test -run='^$$' -bench=. -benchtime=1x -timeout=120m ./pkg/format ./test/bench/...
	go -C test/nats test -run='^$$' -bench=. -benchtime=1x -timeout=60m .
	go -C test/duckdb test -run='^$$' -bench=. -benchtime=1x -timeout=60m .

.PHONY: _bin/dev require-go
_bin/dev: require-go
	@go build -o $@ ./hack/dev

require-go:
	@command -v go >/dev/null || { echo 'go is missing: install Go 1.26 or later and put it on PATH' >&2; exit 1; }
