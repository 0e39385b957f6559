#!/usr/bin/env bash
# Tests everything: the workspace's own tests, then real clients against freshly
# started daemons, on ports and in a directory of their own.
#
#   scripts/test.sh [PYTEST-ARGUMENT...]      e.g. scripts/test.sh -k kcat
#
# Needs Rust, Python 3 (with venv) and Java on the machine. Prepares the rest:
# the Python clients in .venv, Apache's servers and tools in .peers, and, when
# run as root on Debian, the packages that are missing.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$top"

fail() { echo "test.sh: $*" >&2; exit 1; }

# apt is asked at most once, for all that is missing together.
missing=()
need() { command -v "$1" >/dev/null || missing+=("$2"); }

require_packages() {
  command -v cargo >/dev/null || fail "cargo is missing: install Rust (https://rustup.rs)"
  command -v python3 >/dev/null || fail "python3 is missing (Debian: apt install python3 python3-venv)"
  need cc gcc
  need strace strace
  need kcat kcat
  need java default-jdk-headless
  need javac default-jdk-headless
  need go golang-go
  [ -e /usr/include/zookeeper/zookeeper.h ] || missing+=(libzookeeper-mt-dev)
  need mvn maven
  python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3-venv)
  [ ${#missing[@]} -eq 0 ] && return
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    fail "missing programs; as root: apt-get install ${missing[*]}"
  fi
  echo "test.sh: installing ${missing[*]}"
  local said
  if ! said=$(install_packages 2>&1); then
    echo "$said" >&2
    fail "apt-get could not install ${missing[*]} (its output is above)"
  fi
}

install_packages() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq && apt-get install -qq -y --no-install-recommends "${missing[@]}"
}

prepare_python() {
  local wanted=scripts/e2e/requirements.txt release
  cmp -s "$wanted" .venv/installed.txt && return
  echo "test.sh: preparing the Python clients in .venv"
  python3 -m venv .venv
  .venv/bin/pip install -q --disable-pip-version-check -r "$wanted"
  # Releases that tutorials still pin; each lives in a folder of its own.
  for release in kafka-python-2.0.2 kafka-python-1.4.7 pykafka-2.8.0; do
    rm -rf ".venv/$release"
    .venv/bin/pip install -q --disable-pip-version-check --no-deps --target ".venv/$release" \
      "${release%-*}==${release##*-}"
  done
  # PyKafka's ZooKeeper client is of its own time.
  .venv/bin/pip install -q --disable-pip-version-check --target .venv/pykafka-2.8.0 --upgrade \
    kazoo==2.5.0 six==1.17.0 tabulate==0.10.0
  cp "$wanted" .venv/installed.txt
}

require_packages
prepare_python || fail "pip could not install the Python clients (its output is above)"
[ -n "${PEERS:-}" ] || scripts/peers/install.sh kafka39 zookeeper curator clients10 kafka11 kafka28
# What fails is tried once more: what then passes depended on the machine's load.
# The first report stays above it for whoever looks into it.
cargo test --workspace --locked --no-fail-fast || cargo test --workspace --locked
# The daemons of the same profile, assertions on: one build serves both rings.
export PROFILE=dev
cargo build --profile "$PROFILE" --locked --workspace --bins
suite() {
  .venv/bin/python -m pytest -c scripts/e2e/pytest.ini -o addopts="-ra --tb=short" \
    -o cache_dir="$top/target/pytest" scripts/e2e "$@"
}
suite "$@" || suite "$@" --last-failed --last-failed-no-failures none
