#!/usr/bin/env bash
# Runs every test of every module with the race detector, those on a real
# control plane included. Arguments are added to go test. No result is taken from
# the cache: Go does not know which tests run a server that they do not import.
set -o errexit -o nounset -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=hack/lib.sh
source hack/lib.sh
need_go
need git git
need_cc
need_postgres
need_kafka
need_azurite
need_python
export CGO_ENABLED=1

dirs="$(modules)" || exit 1

# Before the tests, which would hold back what it prints until they end.
mkdir -p _bin
go build -o _bin/dev ./hack/dev
_bin/dev binaries
_bin/dev kubectls
_bin/dev kafka
_bin/dev azurite
_bin/dev registry
hack/python.sh >/dev/null

# Most of the time of tests with servers is waiting: more of them run at once
# than there are cores. make verify vets. Linking takes a third of the time
# without symbols; race reports and stacks do not need them. Tests, and
# what they start, collect garbage as everywhere.
at_once="$(($(getconf _NPROCESSORS_ONLN) + 1))"

# test_module FOLDER [ARGUMENT...]
test_module() {
  local dir="$1" packages=(./...)
  shift
  if [[ "${dir}" == . ]]; then
    packages=(./test/... ./...) # those that take longest first
  fi
  if has "${dir}" '*_test.go'; then
    go -C "${dir}" test -race -count=1 -vet=off -ldflags=-s -exec='env -u GOGC -u GOMEMLIMIT' -p "${at_once}" -parallel "${at_once}" "$@" "${packages[@]}" | { grep -v --line-buffered '\[no test files\]' || true; }
  fi
}

# The nested modules, one after the other, beside the product's; what they print
# comes after that. An interrupt reaches both.
test_nested() {
  local dir status=0
  for dir in ${dirs}; do
    if [[ "${dir}" != . ]]; then
      test_module "${dir}" "$@" || status=1
    fi
  done
  return "${status}"
}

nested="$(mktemp)"
trap 'rm -f "${nested}"' EXIT
test_nested "$@" >"${nested}" 2>&1 &
beside=$!

status=0
test_module . "$@" || status=1
wait "${beside}" || status=1
cat "${nested}"
exit "${status}"
