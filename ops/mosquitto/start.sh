#!/bin/sh
# Starts the broker with the users of a file, which has a line `name:password` for each. Hashes of them are all that the broker
# reads.
set -eu
users="${MOSQUITTO_USERS:-/run/secrets/mosquitto_users}"
passwords="${MOSQUITTO_PASSWORDS:-/mosquitto/run/passwords}"
umask 077
cat "$users" >"$passwords"
mosquitto_passwd -U "$passwords"
exec mosquitto -c "${MOSQUITTO_CONFIG:-/mosquitto/config/mosquitto.conf}"
