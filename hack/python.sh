#!/usr/bin/env bash
# Prints the path of a Python with the packages of test/duckdb/requirements.txt. The
# first time it makes the environment, in _bin; what is there is complete.
set -o errexit -o nounset -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
requirements=test/duckdb/requirements.txt
folder="$(pwd -P)/_bin/python-$(cksum <"${requirements}" | cut -d' ' -f1)"
if [[ ! -e "${folder}/complete" ]]; then
  mkdir -p _bin
  exec 9>"${folder}.lock"
  if command -v flock >/dev/null; then
    flock 9
  fi
  if [[ ! -e "${folder}/complete" ]]; then # nobody else has meanwhile
    echo "fetching packages of Python (62 MB)" >&2
    python3 -m venv --clear "${folder}" >&2
    "${folder}/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile \
      --no-deps --only-binary=:all: --require-hashes --requirement "${requirements}" >&2
    touch "${folder}/complete"
  fi
fi
echo "${folder}/bin/python"
