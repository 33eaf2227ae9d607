#!/usr/bin/env bash
# Makes what docker-compose.yml needs: secrets/, random passwords and a signing key, a file each, and .env, which holds no
# secret. What is there already is left as it is: the stores keep the passwords of their first start.
#
# The folder is closed to everybody but its owner. The files in it are readable for all, because containers see them as they
# are, and the users within are others than the owner.
set -euo pipefail
. "$(dirname "$0")/secrets.sh"
cd "${1:-$(dirname "$0")/../..}"

# A value that an earlier version wrote into .env, where it stood in the environment of every container.
of_env() { # NAME
  if [ -f .env ]; then sed -n "s/^$1=//p" .env | head -n 1; fi
}

password() { # file NAME: what is kept, else of .env, else a new one
  local kept
  if [ -e "secrets/$1" ]; then kept="$(cat "secrets/$1")"; else kept="$(of_env "$2")"; fi
  printf '%s' "${kept:-$(random)}"
}

mkdir -p secrets
chmod 0700 secrets
postgres="$(password postgres_password POSTGRES_PASSWORD)"
clickhouse="$(password clickhouse_password CLICKHOUSE_PASSWORD)"
redis="$(password redis_password REDIS_PASSWORD)"
write_secret postgres_password "$postgres"
write_secret clickhouse_password "$clickhouse"
write_secret redis_password "$redis"
write_secret grafana_password "$(password grafana_password GRAFANA_PASSWORD)"
write_secret jwt_secret "$(password jwt_secret JWT_SECRET)"
# Where alerts are sent, once ops/alertmanager/alertmanager.yml says that they are: put an address of your own here.
write_secret alerts_url "http://127.0.0.1:9/nobody"
# The service takes whole addresses, with the passwords in them.
write_secret postgres_url "postgres://mohaa:$postgres@postgres:5432/mohaa"
write_secret clickhouse_url "http://mohaa:$clickhouse@clickhouse:8123/mohaa"
write_secret redis_url "redis://:$redis@redis:6379"
# For docker-compose.mqtt.yml. The broker's file of users gets a line for each server (ops/mosquitto/add-server.sh).
mqtt="$(password mqtt_password MQTT_PASSWORD)"
write_secret mqtt_password "$mqtt"
write_secret mqtt_url "mqtt://mohaa-stats:$mqtt@mosquitto:1883"
write_secret mosquitto_users "mohaa-stats:$mqtt"

if [ -e .env ]; then
  if grep -Eq '^(POSTGRES_PASSWORD|CLICKHOUSE_PASSWORD|REDIS_PASSWORD|JWT_SECRET)=' .env; then
    echo "make-env: the secrets of .env are in secrets/ now; remove them from .env" >&2
  fi
  exit 0
fi
cat >.env.new <<'END'
# Where browsers reach the service, such as https://stats.example.org; cookies are Secure when it is https.
PUBLIC_URL=
PORT=8080
END
mv .env.new .env
echo "make-env: wrote .env" >&2
