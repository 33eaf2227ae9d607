#!/usr/bin/env bash
# Copies pinned third-party files from their npm tarballs into static/vendor (what pages load) and src/cards/fonts (what
# pictures are written in), each with its licence, and writes SHA256SUMS. Run at development time only: the results are
# committed, the service needs neither npm nor a network.
#
#   ops/vendor.sh          fetch and copy
#   ops/vendor.sh --check  compare what is committed with SHA256SUMS
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
loaded_by_pages=$root/static/vendor
written_in=$root/src/cards/fonts

if [[ "${1:-}" == "--check" ]]; then
    for folder in "$loaded_by_pages" "$written_in"; do
        (cd "$folder" && sha256sum --check --strict --quiet SHA256SUMS)
    done
    exit
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

cd "$loaded_by_pages"

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

mkdir -p "$written_in"
cd "$written_in"

# The faces of the pages, once more as WOFF 1: to unpack that takes zlib alone. With the letters that names have beyond latin.
vendor big-shoulders-stencil @fontsource/big-shoulders-stencil@5.3.0 \
    ruy9fT5PFzr1jplPV2OGM7D/RU6uOWTfTPuGdrqlyfXHsPrdErO/CeioPNXvf/wZNiE9fvzJYQ/Ol9ztgXWp1A== \
    files/big-shoulders-stencil-latin-700-normal.woff files/big-shoulders-stencil-latin-ext-700-normal.woff

vendor public-sans @fontsource/public-sans@5.3.0 \
    kjODI0S3zdv0mBYCIQ8TbBayaiqszpc2UbhJiO3bjIqVVXzcWfHSt2o3WBCLOY3juaGaQoy4MoWCcgmfI5hCuA== \
    files/public-sans-latin-600-normal.woff files/public-sans-latin-ext-600-normal.woff

# Neither has Cyrillic or Greek letters.
vendor noto-sans @fontsource/noto-sans@5.3.0 \
    fBCog2PY7DiVVTEEqtI/Qdinx/knobHYfoGpjFXdfBX5RoJaBp1Prw2G75p0OIsdlMZg3cLo0c+YbIUYOxnQJw== \
    files/noto-sans-cyrillic-700-normal.woff files/noto-sans-greek-700-normal.woff

# A change of our own, for which the font's licence gives leave.
python3 -m venv "$scratch/python"
"$scratch/python/bin/pip" install --quiet fonttools==4.68.0 brotli==1.2.1
"$scratch/python/bin/python" "$root/ops/join-four.py" "$loaded_by_pages"/big-shoulders-stencil/*.woff2 \
    "$written_in"/big-shoulders-stencil/*-latin-700-normal.woff

for folder in "$loaded_by_pages" "$written_in"; do
    cd "$folder"
    find . -type f ! -name SHA256SUMS -printf '%P\n' | LC_ALL=C sort | xargs sha256sum > SHA256SUMS
done
