#!/usr/bin/env bash
# Makes a game server's user at the broker: its id, with a random password, which is printed. A server that has one gets a new one.
# Takes effect with `docker compose restart mosquitto`.
set -euo pipefail
id="${1:-}"
if ! [[ "$id" =~ ^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$ ]]; then
  echo "usage: $0 SERVER_ID [FILE]   (mohaa-stats server list)" >&2
  exit 2
fi
users="${2:-$(dirname "$0")/../../secrets/mosquitto_users}"
[ -e "$users" ] || { echo "$users is not there: run ops/docker/make-env.sh first" >&2; exit 1; }
password="$(head -c 24 /dev/urandom | od -An -v -tx1 | tr -d ' \n')"
new="$(mktemp "$users.XXXXXX")"
trap 'rm -f "$new"' EXIT
{ grep -v "^$id:" "$users" || true; printf '%s:%s\n' "$id" "$password"; } >"$new"
# As the other secrets: the container's user is not the owner.
chmod 0444 "$new"
mv "$new" "$users"
printf 'user %s\npassword %s\ntopic openmohaa/events/%s\n' "$id" "$password" "$id"
