#!/usr/bin/env bash
# Makes .env for docker-compose.yml: random passwords and a signing key, readable by its owner only. Never replaces one:
# the stores keep the passwords of their first start.
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ -e .env ]; then
  echo "make-env: .env is there already and is left as it is" >&2
  exit 0
fi

random() { head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }

umask 077
cat >.env.new <<END
POSTGRES_PASSWORD=$(random)
CLICKHOUSE_PASSWORD=$(random)
REDIS_PASSWORD=$(random)
JWT_SECRET=$(random)
# Where browsers reach the service, such as https://stats.example.org; cookies are Secure when it is https.
PUBLIC_URL=
PORT=8080
END
mv .env.new .env
echo "make-env: wrote .env" >&2
