#!/usr/bin/env bash
# Runs every test and ends with one line that adds the runners' summaries up.
set -euo pipefail
cd "$(dirname "$0")/.."

log="$(mktemp)"
trap 'rm -f "$log"' EXIT

# The gateway, the service and what plays a service must be there before tests start them.
cargo build --locked --workspace --bins --examples

status=0
cargo test --locked --workspace --no-fail-fast --doc 2>&1 | tee -a "$log" || status=1
cargo test --locked --workspace --no-fail-fast --lib --bins --tests 2>&1 | tee -a "$log" || status=1

awk '
  /^test result: / { passed += $4; failed += $6; skipped += $8 }
  /^error: / { broken = 1 }
  END {
    if (broken && failed == 0) failed = 1
    printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
  }' "$log"
exit "$status"
