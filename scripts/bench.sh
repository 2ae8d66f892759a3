#!/usr/bin/env bash
# bench.sh [SCALE]: time pghaul against pg_dump and pg_restore 18 on the same
# data, in the same run, with the same number of workers and both with zstd.
# Only the ratios mean something. Run it with make bench, which gives it a
# server of its own; PGHOST, PGPORT and PGUSER name that server. SCALE 1 is
# 2.2 GB of tables, the default 0.05.
set -euo pipefail
cd "$(dirname "$0")/.."
scale=${1:-0.05}
jobs=${JOBS:-2}
rounds=${ROUNDS:-3}
export PGHOST PGPORT PGUSER PGDATABASE=postgres

oracle=$(scripts/oracle.sh | sed -n 's/^PostgreSQL 18 client: //p')
[ -n "$oracle" ] || {
  echo "bench.sh: needs the PostgreSQL 18 client (make client)" >&2
  exit 1
}
# PGHAUL may name another build to compare.
pghaul=${PGHAUL:-$PWD/bin/pghaul}
work=$(mktemp -d /tmp/pghaul-bench-XXXXXX)
trap 'rm -rf "$work"' EXIT

echo "loading the benchmark data at scale $scale"
"$oracle/psql" -Xqc 'CREATE DATABASE bench TEMPLATE template0'
"$oracle/psql" -Xq -d bench -v ON_ERROR_STOP=1 -v scale="$scale" -f testdata/sql/bench.sql -o /dev/null
"$oracle/psql" -XAtd bench -c "SELECT 'tables and indexes: ' || pg_size_pretty(pg_database_size('bench')) || ', jobs: $jobs, best of $rounds'"

# best PREPARE -- CMD...: the shortest of some runs in seconds, each after PREPARE.
best() {
  local prepare=$1 shortest="" from
  shift 2
  for _ in $(seq "$rounds"); do
    eval "$prepare"
    from=$EPOCHREALTIME
    "$@" >"$work/log" 2>&1 || {
      cat "$work/log" >&2
      echo "bench.sh: failed: $*" >&2
      exit 1
    }
    shortest=$(awk "BEGIN { took = $EPOCHREALTIME - $from; best = ${shortest:-1e9}; print (took < best ? took : best) }")
  done
  echo "$shortest"
}
fresh() { # a new database copy, and statistics on neither side from before
  "$oracle/psql" -Xq -c 'SET client_min_messages = warning' -c 'DROP DATABASE IF EXISTS copy WITH (FORCE)' -c 'CREATE DATABASE copy TEMPLATE template0' -c CHECKPOINT
}
row() { printf '%-22s %10.2f s %10.2f s %8.2f\n' "$1" "$2" "$3" "$(awk "BEGIN { print $2 / $3 }")"; }

theirs_dump=$(best 'rm -rf "$work/theirs"' -- "$oracle/pg_dump" -Fd -Z zstd -j "$jobs" -f "$work/theirs" bench)
ours_dump=$(best 'rm -rf "$work/ours"' -- "$pghaul" dump -Fd -j "$jobs" -f "$work/ours" bench)
theirs_restore=$(best fresh -- "$oracle/pg_restore" -j "$jobs" -d copy "$work/theirs")
ours_restore=$(best fresh -- "$pghaul" restore -j "$jobs" -d copy "$work/ours")
url() { echo "postgres://$PGUSER@$PGHOST:$PGPORT/$1?sslmode=disable"; }
verify=$(best : -- "$pghaul" verify --source "$(url bench)" --target "$(url copy)")

printf '\n%-22s %12s %12s %8s\n' '' 'PostgreSQL' 'pghaul' 'ratio'
row 'dump -Fd, zstd' "$theirs_dump" "$ours_dump"
row 'restore' "$theirs_restore" "$ours_restore"
printf '%-22s %12s %10.2f s\n' 'verify (digests)' '' "$verify"
printf '%-22s %12s %12s\n' 'archive' "$(du -sh "$work/theirs" | cut -f1)" "$(du -sh "$work/ours" | cut -f1)"
