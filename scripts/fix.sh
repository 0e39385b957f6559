#!/usr/bin/env bash
# Mends what a program can mend: format, and the lints that have one answer.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged
cargo fmt --all
