#!/usr/bin/env bash
# servers.sh: make the PostgreSQL servers of the tests ready. What is there
# already is left alone. Without CI=true a server that cannot be had is named
# and the tests of it skip; with CI=true it is an error.
set -euo pipefail
cd "$(dirname "$0")/.."

majors=${PGHAUL_TEST_VERSIONS:-11,12,13,14,15,16,17,18}

# Root on Debian gets PostgreSQL 15 with pg_cron, for the Azure-like server.
cron=/usr/lib/postgresql/15/lib/pg_cron.so
if [ ! -e $cron ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  install() { DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql-15-cron >/dev/null; }
  install 2>/dev/null || { apt-get update -qq && install; } || true
fi
[ -e $cron ] || echo "servers: no pg_cron for PostgreSQL 15 (Debian: postgresql-15-cron); the Azure-like server has a stand-in for it"

# The Azure-like and the Neon-like server are of versions 15 and 17.
# shellcheck disable=SC2046
if go run ./internal/pgtest/throwaway fetch $(echo "$majors,15,17" | tr ', ' '\n\n' | sort -nu); then
  exit 0
fi
[ "${CI:-}" != true ] || exit 1
echo "servers: the tests of the versions above skip; install those servers, or npm to fetch them"
