#!/usr/bin/env bash
# Copies pinned third-party files from their npm tarballs into static/vendor, each with its licence, and writes
# SHA256SUMS. Run at development time only: the results are committed, the service needs neither npm nor a network.
#
#   ops/vendor.sh          fetch and copy
#   ops/vendor.sh --check  compare what is committed with SHA256SUMS
set -euo pipefail

cd "$(dirname "$0")/../static/vendor"

if [[ "${1:-}" == "--check" ]]; then
    exec sha256sum --check --strict --quiet SHA256SUMS
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# vendor FOLDER PACKAGE@VERSION SHA512 FILE…   where SHA512 is the tarball's digest in base64, as lock files hold it.
# A tarball that changed under the same version stops the script before anything of it is copied.
vendor() {
    local folder=$1 package=$2 expected_sha512=$3
    shift 3
    local tarball actual_sha512
    tarball=$scratch/$(cd "$scratch" && npm pack --silent "$package")
    actual_sha512=$(openssl dgst -sha512 -binary "$tarball" | base64 -w0)
    if [[ "$actual_sha512" != "$expected_sha512" ]]; then
        echo "$package: digest is sha512-$actual_sha512, pinned is sha512-$expected_sha512" >&2
        exit 1
    fi
    rm -rf "$folder"
    mkdir -p "$folder"
    local file
    for file in LICENSE "$@"; do
        tar -xzf "$tarball" -O "package/$file" > "$folder/$(basename "$file")"
    done
    echo "$package" > "$folder/VERSION"
}

# Display face: one weight, latin. Headings and large numerals only.
vendor big-shoulders-stencil @fontsource/big-shoulders-stencil@5.3.0 \
    ruy9fT5PFzr1jplPV2OGM7D/RU6uOWTfTPuGdrqlyfXHsPrdErO/CeioPNXvf/wZNiE9fvzJYQ/Ol9ztgXWp1A== \
    files/big-shoulders-stencil-latin-700-normal.woff2

# Text face: all weights in one variable file, latin. latin-ext would take the fonts over their 45 KB.
vendor public-sans @fontsource-variable/public-sans@5.3.0 \
    AVfkmAt50BMXWpOO21FAntiJFKGX6xTc2dSL8dxtDteONe9IuRXJWGbs0EbG955vAMCq23ENeuopuW87cGWDSQ== \
    files/public-sans-latin-wght-normal.woff2

# Forms without loading a page anew, parts of pages, streams.
vendor htmx htmx.org@4.0.1 \
    oF7JgXhDW9UXCy/k1ZYFUQgzu/rm19ORWPSPNL91vPluB2PB9+MV55tyQdH/w7o2EAbTYUG5SDW1R60mdkdqGg== \
    dist/htmx.min.js dist/ext/hx-sse.min.js

find . -type f ! -name SHA256SUMS -printf '%P\n' | LC_ALL=C sort | xargs sha256sum > SHA256SUMS
