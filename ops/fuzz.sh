#!/usr/bin/env bash
# Searches for inputs that break a law of fuzz/: $FUZZ_SECONDS for each target (20 minutes if not said), of those named or
# of all. The first finding ends it; its input is left in fuzz/artifacts/. What reaches new code is kept in fuzz/corpus/.
set -euo pipefail
cd "$(dirname "$0")/.."

cache="${MOHAA_ENGINE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mohaa-stats}"
export PATH="$cache/cargo-fuzz/bin:$PATH"
seconds="${FUZZ_SECONDS:-1200}"
targets=("$@")
if [ $# = 0 ]; then targets=(decoder tracker spool); fi

for target in "${targets[@]}"; do
  corpus="fuzz/corpus/$target"
  mkdir -p "$corpus"
  inputs=("$corpus")
  if [ -d "fuzz/seeds/$target" ]; then inputs+=("fuzz/seeds/$target"); fi
  # With a seed two runs try the same inputs in the same order, so that CI does not fail for somebody else's finding.
  limits=(-seed="${FUZZ_SEED:-0}" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -max_len=16384 -print_final_stats=1)
  if [ "$target" = spool ]; then
    # Its seeds are short, and libFuzzer would take long to try what is longer.
    limits+=(-len_control=0 -max_len=2048)
  else
    inputs+=(domain/tests/wire)
    limits+=(-dict=fuzz/words.dict)
  fi
  printf 'fuzz: %s for %s s\n' "$target" "$seconds" >&2
  # Rust checks memory and, in these builds, overflow by itself: no sanitizer, and so no nightly compiler, is needed.
  cargo fuzz run --fuzz-dir fuzz --sanitizer none --target-dir "${CARGO_TARGET_DIR:-target}/fuzz" \
    "$target" "${inputs[@]}" -- "${limits[@]}" 2>&1 | grep -vE '^#[0-9]+\s+(NEW|REDUCE|RELOAD)|^\s+(NEW_FUNC)|# Uses: '
done
printf 'fuzz: nothing was found\n' >&2
