#!/usr/bin/env bash
# oracle.sh: make the PostgreSQL 18 client ready for the tests, unless
# PGHAUL_ORACLE18 or an installed package provides it. Without CI=true a client
# that cannot be had is only named, and the tests that need it skip.
set -euo pipefail
cd "$(dirname "$0")"

for dir in "${PGHAUL_ORACLE18:-}" /usr/lib/postgresql/18 /usr/pgsql-18; do
  if [ -n "$dir" ] && [ -x "$dir/bin/pg_dump" ]; then
    echo "PostgreSQL 18 client: $dir/bin"
    exit 0
  fi
done
if bin=$(./oracle18.sh | tail -1) && [ -n "$bin" ]; then
  echo "PostgreSQL 18 client: $bin"
  exit 0
fi
[ "${CI:-}" != true ] || exit 1
echo "oracle: no PostgreSQL 18 client; the tests that compare with pg_dump skip"
