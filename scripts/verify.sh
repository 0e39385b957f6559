#!/usr/bin/env bash
# Checks format, lints and the fast tests; writes nothing but build output.
# scripts/fix.sh mends what a program can mend; scripts/test.sh tests everything.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo fmt --all --check
cargo clippy --workspace --all-targets --locked -- -D warnings
cargo test --workspace --locked
