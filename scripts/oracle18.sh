#!/usr/bin/env bash
# oracle18.sh [DIR]: install the PostgreSQL 18 client (pg_dump, pg_restore,
# pg_dumpall, psql) and pgcopydb into DIR, on Debian and its relatives: the
# oracle of tests and the peers of benchmarks. DIR is by default where the
# tests look for it.
#
# It downloads the packages of Debian unstable with all they need, the C
# library included, and unpacks them below DIR (about 300 MB). The programs run
# with that tree's own loader and libraries. Nothing is installed, nothing of
# the running system changes, and no privilege is needed. Running it again is a
# no-op; two runs at once wait for each other.
set -euo pipefail

default=${PGHAUL_TEST_CACHE:-}
if [ -z "$default" ]; then
  if [ "$(id -u)" = 0 ]; then default=/var/cache/pghaul-test; else default=${XDG_CACHE_HOME:-$HOME/.cache}/pghaul-test; fi
fi
dir=${1:-$default/oracle18}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
exec 9>"$dir/lock"
flock 9

if [ -e "$dir/done" ] && "$dir/bin/pg_dump" --version >/dev/null 2>&1; then
  echo "$dir/bin"
  exit 0
fi
for tool in apt-get dpkg-deb; do
  command -v $tool >/dev/null || {
    echo "oracle18.sh: needs $tool (Debian or a relative); elsewhere install the PostgreSQL 18 client yourself and set PGHAUL_ORACLE18 to the directory that has bin/pg_dump" >&2
    exit 1
  }
done

# A private apt: its own lists, cache and an empty list of installed packages,
# so that everything the client needs is fetched and the machine's state is
# neither used nor changed. Proxies and the like come from the machine.
apt=$dir/apt
rm -rf "$dir/done" "$dir/root" "$dir/bin" "$apt"
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/etc/preferences.d" "$dir/root" "$dir/bin"
: >"$apt/status"
mirror=$(awk '/^URIs:/ {print $2; exit}' /etc/apt/sources.list.d/debian.sources 2>/dev/null || true)
[ -n "$mirror" ] || mirror=$(awk '$1 == "deb" && /debian/ {for (i = 2; i <= NF; i++) if ($i ~ /^https?:/) {print $i; exit}}' /etc/apt/sources.list 2>/dev/null || true)
mirror=${ORACLE18_MIRROR:-${mirror:-http://deb.debian.org/debian}}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -e "$keyring" ] || {
  echo "oracle18.sh: needs $keyring (package debian-archive-keyring)" >&2
  exit 1
}
echo "deb [signed-by=$keyring] $mirror ${ORACLE18_SUITE:-sid} main" >"$apt/sources.list"
options=(
  -qq -o Dir::State="$apt" -o Dir::State::status="$apt/status" -o Dir::State::lists="$apt/lists"
  -o Dir::Cache="$apt/cache" -o Dir::Etc::SourceList="$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null
  -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts="$apt/etc/preferences.d"
  -o APT::Sandbox::User="$(id -un)" -o APT::Install-Recommends=false -o Acquire::Languages=none
  -o Acquire::Retries=3 -o Debug::NoLocking=true -o APT::Architecture="$(dpkg --print-architecture)"
)
{
  apt-get "${options[@]}" update
  apt-get "${options[@]}" install --yes --download-only postgresql-client-18 pgcopydb
} >"$dir/log" 2>&1 || {
  tail -20 "$dir/log" >&2
  exit 1
}
for deb in "$apt"/cache/archives/*.deb; do
  # Merged /usr, as the packages expect: unpacking must not replace the links.
  dpkg-deb --fsys-tarfile "$deb" | tar -x --no-same-owner --keep-directory-symlink -C "$dir/root" -f -
done
rm -rf "$apt"

root=$dir/root
loader=$(find "$root" -name 'ld-linux-*.so.*' | head -1)
libraries=$(find "$root" -type d -path '*/lib/*-linux-gnu' | paste -sd:)
wrap() { # wrap PROGRAM AT: a script at AT that runs PROGRAM with the tree's loader
  cat >"$2" <<W
#!/bin/sh
PATH="$dir/bin:\$PATH" exec "$loader" --library-path "$libraries" "$1" "\$@"
W
  chmod 755 "$2"
}
for program in pg_dump pg_restore pg_dumpall psql pgcopydb; do
  path=$(find "$root/usr/lib/postgresql" "$root/usr/bin" -name $program -type f | head -1)
  wrap "$path" "$dir/bin/$program"
done
# pg_dumpall runs the pg_dump beside it, which must be a wrapper, too.
pg=$(dirname "$(find "$root/usr/lib/postgresql" -name pg_dump -type f)")
mkdir "$pg/real"
mv "$pg/pg_dump" "$pg/real/pg_dump"
wrap "$pg/real/pg_dump" "$pg/pg_dump"
wrap "$pg/real/pg_dump" "$dir/bin/pg_dump"
"$dir/bin/pg_dump" --version
touch "$dir/done"
echo "$dir/bin"
