#!/usr/bin/env bash
# Looks at the pages of a demo with a browser, at development time only.
#
#   ops/web.sh screenshots [FOLDER]   every page, on phone and desktop, light and dark, into FOLDER (data/screenshots)
#   ops/web.sh audit                  Lighthouse on the main pages
#
# Needs Node 20 and Chromium ($CHROMIUM, else /usr/bin/chromium). The packages come from ops/web/package-lock.json.
set -euo pipefail

cd "$(dirname "$0")/.."
what=${1:?screenshots or audit}
folder=${2:-data/screenshots}
cache="${MOHAA_ENGINE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mohaa-stats}"
target="${CARGO_TARGET_DIR:-target}"

# Beside the other things that are fetched: nothing is installed into the project.
tools="$cache/web-$(sha256sum ops/web/package-lock.json | cut -c1-16)"
if [[ ! -d "$tools/node_modules" ]]; then
    mkdir -p "$tools"
    cp ops/web/package.json ops/web/package-lock.json "$tools"
    npm ci --silent --no-audit --no-fund --prefix "$tools"
fi
cp ops/web/*.mjs "$tools"

cargo build --release --locked
work=$(mktemp -d)
trap 'kill "$service" 2>/dev/null || true; wait "$service" 2>/dev/null || true; rm -rf "$work"' EXIT
"$target/release/mohaa-stats" demo --data-dir "$work/data" --listen 127.0.0.1:0 >"$work/out" 2>"$work/log" &
service=$!
until url=$(sed -n 's/^listening on //p' "$work/out") && [[ -n "$url" ]]; do
    kill -0 "$service" 2>/dev/null || { cat "$work/log" >&2; exit 1; }
    sleep 0.2
done
admin=$("$target/release/mohaa-stats" user add --name "Admin" --role admin --data-dir "$work/data")
field() { node -e 'console.log(JSON.parse(process.argv[1])[process.argv[2]])' "$admin" "$1"; }

case "$what" in
    screenshots) node "$tools/screenshots.mjs" "$url" "$(field access_token)" "$(field login_url)" "$folder" ;;
    audit) node "$tools/audit.mjs" "$url" "$(field access_token)" ;;
    *) echo "screenshots or audit, not $what" >&2; exit 2 ;;
esac
