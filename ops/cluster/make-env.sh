#!/usr/bin/env bash
# Makes what ops/cluster/docker-compose.yml needs: secrets/ beside it. What is there already is left as it is. The passwords and the key
# are made as for docker-compose.yml (ops/docker/make-env.sh); here are the addresses of several servers, and what these show each other.
set -euo pipefail
ops="$(cd "$(dirname "$0")/.." && pwd)"
. "$ops/docker/secrets.sh"
cd "${1:-$ops/cluster}"
"$ops/docker/make-env.sh" "$PWD"

postgres="$(cat secrets/postgres_password)"
clickhouse="$(cat secrets/clickhouse_password)"
redis="$(cat secrets/redis_password)"
write_secret replication_password "$(random)"
write_secret cluster_postgres_url "postgres://mohaa:$postgres@postgres1:5432,postgres2:5432/mohaa?target_session_attrs=read-write"
# By the balancer: one replica takes everything as long as it is there.
write_secret cluster_clickhouse_url "http://mohaa:$clickhouse@balancer:8123/mohaa"
write_secret cluster_redis_url "redis+sentinel://:$redis@sentinel1:26379,sentinel2:26379,sentinel3:26379/mohaa?sentinel_password=$redis"
write_secret clickhouse_interserver "<clickhouse>
    <remote_servers><mohaa><secret>$(random)</secret></mohaa></remote_servers>
    <interserver_http_credentials><user>replica</user><password>$(random)</password></interserver_http_credentials>
</clickhouse>"
