#!/usr/bin/env bash
# Draws src/cards/ground.png, on which pictures of pages are written, from ground.svg beside it. Run at development time only.
#
# Needs Chromium ($CHROMIUM, else /usr/bin/chromium).
set -euo pipefail

cd "$(dirname "$0")/../src/cards"
"${CHROMIUM:-/usr/bin/chromium}" --headless --no-sandbox --disable-gpu --hide-scrollbars --force-device-scale-factor=1 \
    --window-size=1200,630 --screenshot="$PWD/ground.png" "file://$PWD/ground.svg"
