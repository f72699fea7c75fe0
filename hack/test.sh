#!/usr/bin/env bash
# Runs every test of every module with the race detector, those on a real
# control plane included. Arguments are added to go test.
set -o errexit -o nounset -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=hack/lib.sh
source hack/lib.sh
need_go
need git git
need_cc
export CGO_ENABLED=1

# Before the tests, which would hold back what it prints until they end.
mkdir -p _bin
go build -o _bin/dev ./hack/dev
_bin/dev binaries

status=0
for dir in $(modules); do
  if has "${dir}" '*_test.go'; then
    go -C "${dir}" test -race "$@" ./... || status=1
  fi
done
exit "${status}"
