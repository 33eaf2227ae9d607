#!/bin/sh
# A sentinel of the master `mohaa`: sentinel.sh OWN-NAME. It keeps what it knows in its configuration, so only the first start writes it.
set -eu
password="$(cat /run/secrets/redis_password)"
if [ ! -e /data/sentinel.conf ]; then
  {
    printf 'port 26379\ndir /data\nrequirepass %s\nsentinel sentinel-pass %s\n' "$password" "$password"
    printf 'sentinel resolve-hostnames yes\nsentinel announce-hostnames yes\nsentinel announce-ip %s\n' "$1"
    # Two of three have to agree that it is gone.
    printf 'sentinel monitor mohaa redis1 6379 2\nsentinel auth-pass mohaa %s\n' "$password"
    printf 'sentinel down-after-milliseconds mohaa 5000\nsentinel failover-timeout mohaa 30000\nsentinel parallel-syncs mohaa 1\n'
  } >/data/sentinel.conf.new
  mv /data/sentinel.conf.new /data/sentinel.conf
fi
exec redis-server /data/sentinel.conf --sentinel
