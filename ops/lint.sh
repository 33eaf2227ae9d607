#!/usr/bin/env bash
# Looks at what nobody runs here: Prometheus' configuration, rules and their tests. Says what it could not look at, for want of a program (ops/setup.sh lint gets them).
set -euo pipefail
cd "$(dirname "$0")/.."

cache="${MOHAA_ENGINE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mohaa-stats}"
PATH="$cache:$PATH"
have() { command -v "$1" >/dev/null 2>&1; }
skip() { printf 'lint: skipped %s: %s is not there\n' "$1" "$2" >&2; }
quietly() { # tells what a program said only when it is not content
  local said
  said="$("$@" 2>&1)" || { printf '%s\n' "$said" >&2; return 1; }
}

if have promtool; then
  quietly promtool check config --lint=all --lint-fatal ops/prometheus/prometheus.yml
  quietly promtool check rules --lint=all --lint-fatal ops/prometheus/recording.yml ops/prometheus/alerts.yml
  quietly promtool test rules ops/prometheus/tests/*.yml
else
  skip "Prometheus' rules" promtool
fi
