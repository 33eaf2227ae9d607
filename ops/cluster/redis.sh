#!/bin/sh
# Redis under sentinels: redis.sh OWN-NAME [MASTER]. Its configuration is a file that the sentinels have it change when another server
# becomes the master; only the first start writes it.
set -eu
password="$(cat /run/secrets/redis_password)"
if [ ! -e /data/redis.conf ]; then
  {
    printf 'requirepass %s\nmasterauth %s\n' "$password" "$password"
    printf 'appendonly yes\nmaxmemory 256mb\nmaxmemory-policy noeviction\ndir /data\n'
    printf 'replica-announce-ip %s\n' "$1"
    if [ $# -gt 1 ]; then printf 'replicaof %s 6379\n' "$2"; fi
  } >/data/redis.conf.new
  mv /data/redis.conf.new /data/redis.conf
fi
exec redis-server /data/redis.conf
