#!/usr/bin/env bash
# Rebuilds and restarts the service whenever a source file, template, asset or schema file changes.
set -euo pipefail
cd "$(dirname "$0")/.."

watched=(Cargo.toml Cargo.lock src actors domain spool embedded templates static migrations clickhouse)
state() { find "${watched[@]}" -type f -printf '%T@ %p\n' | sort | sha256sum; }

service=
stop() {
  if [ -n "$service" ]; then
    kill "$service" 2>/dev/null || true
    wait "$service" 2>/dev/null || true
    service=
  fi
}
trap stop EXIT
trap 'exit 130' INT TERM

while true; do
  built="$(state)"
  if cargo build; then
    stop
    "${CARGO_TARGET_DIR:-target}/debug/mohaa-stats" demo --data-dir "${DATA_DIR:-data/dev}" --listen "127.0.0.1:${PORT:-8080}" &
    service=$!
  fi
  while [ "$(state)" = "$built" ]; do sleep 1; done
done
