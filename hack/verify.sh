#!/usr/bin/env bash
# Checks what can be checked without running the product. Every check runs, a
# line each; what a failed one printed follows its line.
set -o errexit -o nounset -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
ROOT="$(pwd -P)"
# shellcheck source=hack/lib.sh
source hack/lib.sh
need_go
need git git

LOG="$(mktemp)"
trap 'rm -f "${LOG}"' EXIT
failed=()

# check NAME COMMAND...
check() {
  local name="$1" start="${SECONDS}"
  shift
  if "$@" >"${LOG}" 2>&1; then
    echo "${name}: ok ($((SECONDS - start))s)"
  else
    failed+=("${name}")
    echo "${name}: FAILED ($((SECONDS - start))s)"
    sed 's/^/  /' "${LOG}"
  fi
}

tool() { go tool -modfile="${ROOT}/hack/tools/go.mod" "$@"; }

# in_modules COMMAND...: runs it in each module that has Go files.
in_modules() {
  local dir dirs status=0
  dirs="$(modules)" || return 1
  for dir in ${dirs}; do
    if has "${dir}" '*.go'; then
      (cd "${dir}" && "$@") || status=1
    fi
  done
  return "${status}"
}

# written_staticcheck leaves out what the generators of Kubernetes wrote.
written_staticcheck() {
  local packages
  packages="$(go list ./... | grep -v '/pkg/generated/')" || return 1
  # shellcheck disable=SC2086
  tool staticcheck ${packages}
}

# check_logcheck has go vet run logcheck: it keeps what it found out about a package
# until that changes.
check_logcheck() {
  go build -modfile=hack/tools/go.mod -o _bin/logcheck sigs.k8s.io/logtools/logcheck || return 1
  in_modules go vet -vettool="${ROOT}/_bin/logcheck" -check-contextual ./...
}

check_gofmt() {
  local unformatted
  unformatted="$(git ls-files -z --cached --others --exclude-standard -- '*.go' | existing | xargs -0 "$(go env GOROOT)/bin/gofmt" -l)" || return 1
  if [[ -n "${unformatted}" ]]; then
    printf 'run gofmt -w on\n%s\n' "${unformatted}"
    return 1
  fi
}

# existing passes on the paths that are there: git lists what was just deleted.
# It fails if there are none.
existing() {
  local path some=1
  while IFS= read -r -d '' path; do
    if [[ -e "${path}" ]]; then
      printf '%s\0' "${path}"
      some=0
    fi
  done
  return "${some}"
}

check_tidy() {
  local dir dirs status=0
  dirs="$(modules)" || return 1
  for dir in ${dirs}; do
    if ! go -C "${dir}" mod tidy -diff; then
      echo "run go -C ${dir} mod tidy"
      status=1
    fi
  done
  return "${status}"
}

# The vulnerability database is the one thing here that a module proxy does not
# have: without it this check, and no other, is left out.
check_govulncheck() {
  local start="${SECONDS}"
  if tool govulncheck ./... >"${LOG}" 2>&1; then
    echo "govulncheck: ok ($((SECONDS - start))s)"
  elif grep -q '^govulncheck: fetching vulnerabilities: ' "${LOG}"; then
    echo "govulncheck: vulnerability database out of reach, skipped"
  else
    failed+=(govulncheck)
    echo "govulncheck: FAILED ($((SECONDS - start))s)"
    sed 's/^/  /' "${LOG}"
  fi
}

check gofmt check_gofmt
check "go mod tidy" check_tidy
check "go vet" in_modules go vet ./...
check staticcheck in_modules written_staticcheck
check logcheck check_logcheck
check_govulncheck
check "generated code" hack/update-codegen.sh --verify

if ((${#failed[@]} > 0)); then
  printf 'verify: FAILED: %s\n' "$(IFS=,; echo "${failed[*]}")"
  exit 1
fi
echo "verify: ok (${SECONDS}s)"
