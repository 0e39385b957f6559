#!/usr/bin/env bash
# Runs real clients and their own test suites, unmodified, against fresh daemons.
#
#   scripts/clients.sh                  names all, with what is run of each
#   scripts/clients.sh NAME...          installs and runs these
#   scripts/clients.sh --all            ... every one
#       --servers apache                on Apache's daemons instead, to compare
#       --write                         puts what came out into clients/README.md
#       --keep DIR                      keeps logs and data there
#
# What is installed goes to .clients/ at the top. Needs what scripts/test.sh needs,
# Node.js for the JavaScript clients, and git for the tests of aiokafka and KafkaJS.
# PROFILE=dev takes unoptimised daemons.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
[ -x "$top/.venv/bin/python" ] || {
  echo "clients.sh: run scripts/test.sh first: it prepares .venv" >&2
  exit 1
}
exec "$top/.venv/bin/python" "$top/scripts/clients/run.py" "$@"
