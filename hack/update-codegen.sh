#!/usr/bin/env bash
# Generates what follows from pkg/apis: deep copies, OpenAPI definitions, the
# clientset with its listers, informers and apply configurations, and the CRDs.
# With --verify nothing is written: the same is generated beside the checkout
# and compared with it.
set -o errexit -o nounset -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
ROOT="$(pwd -P)"
MODULE="kollect.io/kollect"
# What is generated, and nothing else: compared by --verify.
GENERATED=(pkg/apis pkg/generated artifacts/crds)

mode="${1:-}"
case "${mode}" in
"" | --verify) ;;
*)
  echo "usage: hack/update-codegen.sh [--verify]" >&2
  exit 2
  ;;
esac

SCRATCH="$(mktemp -d)"
# The generators talk a lot: their output is shown only when something fails.
exec >"${SCRATCH}/log"
finish() {
  local status=$?
  if [[ "${status}" != 0 ]]; then
    cat "${SCRATCH}/log" >&2
    echo "update-codegen: ${stale:-generation failed}" >&2
  fi
  rm -rf "${SCRATCH}"
}
trap finish EXIT
export TMPDIR="${SCRATCH}"

# kube_codegen.sh installs its generators into GOBIN: keep them in the checkout.
export GOBIN="${ROOT}/_bin/codegen"
mkdir -p "${GOBIN}"

# generate writes the generated files of the checkout in the working directory.
generate() {
  local boilerplate="${PWD}/hack/boilerplate.go.txt"

  kube::codegen::gen_helpers --boilerplate "${boilerplate}" pkg/apis

  kube::codegen::gen_openapi \
    --output-dir pkg/generated/openapi \
    --output-pkg "${MODULE}/pkg/generated/openapi" \
    --output-model-name-file zz_generated.model_name.go \
    --report-filename hack/openapi-violations.list \
    --boilerplate "${boilerplate}" \
    pkg/apis

  # Without the schemas, server-side apply in the fake clientset knows no type.
  go run ./hack/models-schema >"${SCRATCH}/schema.json"
  kube::codegen::gen_client \
    --with-watch \
    --with-applyconfig \
    --applyconfig-openapi-schema "${SCRATCH}/schema.json" \
    --output-dir pkg/generated \
    --output-pkg "${MODULE}/pkg/generated" \
    --boilerplate "${boilerplate}" \
    pkg/apis

  rm -f artifacts/crds/*.yaml
  go tool -modfile=hack/tools/go.mod controller-gen \
    crd paths=./pkg/apis/kollect/... output:crd:artifacts:config=artifacts/crds
}

go mod download -modfile=hack/tools/go.mod k8s.io/code-generator
CODEGEN="$(go list -modfile=hack/tools/go.mod -m -f '{{.Dir}}' k8s.io/code-generator)"
# shellcheck source=/dev/null
source "${CODEGEN}/kube_codegen.sh"

if [[ "${mode}" == "" ]]; then
  generate
  exit
fi

copy="${SCRATCH}/kollect"
mkdir -p "${copy}/hack"
cp go.mod go.sum "${copy}"
cp -r hack/boilerplate.go.txt hack/openapi-violations.list hack/models-schema hack/tools "${copy}/hack"
for path in "${GENERATED[@]}"; do
  mkdir -p "${copy}/${path}"
  cp -r "${path}/." "${copy}/${path}"
done
(
  cd "${copy}"
  generate
)

for path in "${GENERATED[@]}"; do
  diff -Naur "${path}" "${copy}/${path}" >>"${SCRATCH}/diff" || stale="generated files are not up to date: run make generate"
done
if [[ -n "${stale:-}" ]]; then
  mv "${SCRATCH}/diff" "${SCRATCH}/log"
  exit 1
fi
