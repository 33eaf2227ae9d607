#!/bin/bash
# A standby: copies the primary at its first start, and follows it.
set -euo pipefail
umask 077
# Where the copy, and later the connection to the primary, looks for the password. Outside of the volume: it is written at each start.
export PGPASSFILE=/var/lib/postgresql/replication.pgpass
printf '*:*:*:replicator:%s\n' "$(cat /run/secrets/replication_password)" >"$PGPASSFILE"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  # The image leaves it open to all, and PostgreSQL starts on no folder that is.
  chmod 0700 "$PGDATA"
  # What is left of a copy that was cut short goes.
  rm -rf "${PGDATA:?}"/*
  pg_basebackup --host=postgres1 --username=replicator --pgdata="$PGDATA" --wal-method=stream --checkpoint=fast --write-recovery-conf
fi
exec postgres -c max_wal_senders=5 -c wal_keep_size=1GB
