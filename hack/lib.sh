# Sourced by the scripts here; it runs nothing.

# Without the path of the checkout in it, a compiled or checked package is the
# same in every checkout: a fresh clone finds those that did not change in Go's
# cache.
if [[ " ${GOFLAGS:-} " != *" -trimpath "* ]]; then
  export GOFLAGS="${GOFLAGS:+${GOFLAGS} }-trimpath"
fi

# Compilers, linkers and checkers are short programs, a third of whose time goes
# into garbage that nobody is short of memory for.
export GOGC="${GOGC:-400}" GOMEMLIMIT="${GOMEMLIMIT:-3GiB}"

# need COMMAND PACKAGE...: returns if the command is there. Root gets it from
# Debian's packages; anybody else is told in one line what is missing.
need() {
  local command="$1"
  shift
  if command -v "${command}" >/dev/null; then
    return
  fi
  install_packages "${command}" "$@"
}

# need_go: Go itself is not installed by anything here.
need_go() {
  if ! command -v go >/dev/null; then
    echo "go is missing: install Go 1.26 or later and put it on PATH" >&2
    exit 1
  fi
}

# need_cc: the race detector needs cgo, and so a C compiler with its headers;
# DuckDB, which reads what was exported, is linked with the library of C++.
need_cc() {
  local cc library=stdc++
  cc="$(go env CC)"
  if [[ "$(uname)" == Darwin ]]; then
    library=c++
  fi
  if ! links "${cc}" "-l${library}"; then
    install_packages "a C compiler with the library of C++ (${cc}, for the race detector and DuckDB)" g++ libc6-dev
  fi
}

# need_postgres: tests start servers of their own, so that Debian's own one has
# no cluster to start.
need_postgres() {
  if ! compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null && ! command -v initdb >/dev/null; then
    if [[ "$(id -u)" == 0 ]]; then
      mkdir -p /etc/postgresql-common
      [[ -e /etc/postgresql-common/createcluster.conf ]] || echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
    fi
    install_packages PostgreSQL postgresql
  fi
  if [[ ! -x /usr/sbin/pgbouncer ]]; then
    need pgbouncer pgbouncer
  fi
}

# need_kafka: tests run a broker, on Java 17 or later, that Maven fetches, and read
# what it holds by a client of somebody else's.
need_kafka() {
  need java default-jre-headless
  need mvn maven
  need kcat kcat
}

# need_azurite: tests run Microsoft's server for the API of Azure Blob Storage, which
# npm installs.
need_azurite() {
  need node nodejs
  need npm npm
}

# need_python: tests read what was exported with packages of Python, too.
need_python() {
  need python3 python3 python3-venv
  if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    install_packages "venv of Python" python3-venv
  fi
}

# links CC FLAG...: whether the compiler makes a program.
links() {
  local cc="$1" folder status=0
  shift
  folder="$(mktemp -d)"
  printf '#include <stdlib.h>\nint main(void) { return EXIT_SUCCESS; }\n' >"${folder}/main.c"
  ${cc} -o "${folder}/main" "${folder}/main.c" "$@" >/dev/null 2>&1 || status=1
  rm -rf "${folder}"
  return "${status}"
}

install_packages() {
  local what="$1"
  shift
  if [[ "$(id -u)" == 0 ]] && command -v apt-get >/dev/null; then
    echo "${what} is missing: installing $*"
    if apt-get update -qq >/dev/null &&
      DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null; then
      return
    fi
  fi
  echo "${what} is missing: apt-get install $*" >&2
  exit 1
}

# modules prints the folder of each Go module of the checkout, the product's
# first. It fails if git can't tell, or knows of none.
modules() {
  local files
  files="$(git ls-files --cached --others --exclude-standard -- go.mod '*/go.mod')" || return 1
  if [[ -z "${files}" ]]; then
    echo "git lists no go.mod here" >&2
    return 1
  fi
  sed -e 's|/go.mod$||' -e 's|^go.mod$|.|' <<<"${files}" | sort
}

# has FOLDER PATTERN...: whether the module in the folder has such files of its
# own. If git can't tell, it is taken to have them, so that whoever asks goes on
# to look at them.
has() {
  local dir="$1" dirs nested files
  shift
  local exclude=()
  dirs="$(modules)" || return 0
  for nested in ${dirs}; do
    if [[ "${nested}" != "${dir}" && ("${dir}" == . || "${nested}" == "${dir}"/*) ]]; then
      exclude+=(":(exclude)${nested}")
    fi
  done
  local pattern patterns=()
  for pattern in "$@"; do
    patterns+=("${dir}/${pattern}")
  done
  files="$(git ls-files --cached --others --exclude-standard -- "${patterns[@]}" "${exclude[@]}")" || return 0
  [[ -n "${files}" ]]
}
