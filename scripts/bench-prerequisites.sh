#!/bin/sh
# Installs what `make bench-peers` compares with and nothing else needs: Debian's redis-server, and BullMQ with its lock
# file under bench/peers/. Installs only what is missing, and fails where it cannot, because half a comparison is none.
set -eu
cd "$(dirname "$0")/.."

fail() {
  echo "bench-prerequisites: $1" >&2
  exit 1
}

install_redis() {
  command -v apt-get >/dev/null 2>&1 || fail "redis-server is missing and there is no apt-get to install it with"
  as_root=
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null || fail "installing redis-server needs root or sudo without a password"
    as_root=sudo
  fi
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  apt_install() {
    $as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y --no-install-recommends redis-server >"$log" 2>&1
  }
  echo "bench-prerequisites: installing redis-server" >&2
  apt_install || { $as_root apt-get update >"$log" 2>&1 && apt_install; } || {
    tail -n 5 "$log" >&2
    fail "apt-get failed"
  }
}

command -v redis-server >/dev/null 2>&1 || install_redis

stamp=bench/peers/node_modules/.goclaw-setup
wanted=$(cksum <bench/peers/package-lock.json)
if [ "$(cat "$stamp" 2>/dev/null || true)" != "$wanted" ]; then
  echo "bench-prerequisites: installing BullMQ under bench/peers/" >&2
  npm ci --prefix bench/peers --loglevel=error >&2
  echo "$wanted" >"$stamp"
fi
