#!/bin/bash
# Makes the cluster at the first start, as the official image's variables say, then becomes the server.
#
# POSTGRES_PASSWORD (or POSTGRES_PASSWORD_FILE), POSTGRES_USER, POSTGRES_DB, POSTGRES_INITDB_ARGS, PGDATA;
# *.sql and *.sh in /docker-entrypoint-initdb.d run once, in the order of their names.
set -euo pipefail

case "${1-}" in
-*) set -- postgres "$@" ;;
postgres) ;;
*) exec "$@" ;;
esac

empty_again() { find "$PGDATA" -mindepth 1 -delete; }

make_cluster() {
    local user="${POSTGRES_USER:-postgres}" password="${POSTGRES_PASSWORD-}" script
    local database="${POSTGRES_DB:-$user}"
    if [ -n "${POSTGRES_PASSWORD_FILE-}" ]; then password="$(cat "$POSTGRES_PASSWORD_FILE")"; fi
    if [ -z "$password" ]; then
        echo "POSTGRES_PASSWORD is needed for the first start, and not set" >&2
        exit 1
    fi
    # A half-made cluster would be taken for a whole one at the next start.
    trap empty_again EXIT
    # shellcheck disable=SC2086 - several arguments in one variable
    initdb --pgdata="$PGDATA" --username="$user" --pwfile=<(printf '%s\n' "$password") \
        --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 ${POSTGRES_INITDB_ARGS-}
    echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    # No other client can connect before everything is made: a socket file only.
    pg_ctl --pgdata="$PGDATA" --wait --options="-c listen_addresses=''" start
    local sql=(psql --no-psqlrc --quiet --username="$user" --set=ON_ERROR_STOP=1)
    if [ "$database" != postgres ]; then
        echo 'CREATE DATABASE :"made"' | "${sql[@]}" --dbname=postgres --set=made="$database"
    fi
    for script in /docker-entrypoint-initdb.d/*; do
        case "$script" in
        *.sh) PGUSER="$user" PGDATABASE="$database" bash "$script" ;;
        *.sql) "${sql[@]}" --dbname="$database" --file="$script" ;;
        esac
    done
    pg_ctl --pgdata="$PGDATA" --mode=fast --wait stop
    trap - EXIT
}

mkdir -p "$PGDATA"
[ -s "$PGDATA/PG_VERSION" ] || make_cluster
exec "$@"
