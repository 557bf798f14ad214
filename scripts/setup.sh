#!/bin/sh
# Makes a checkout ready to build and test: a fit Node.js and the locked dependencies. Needs only some Node with its npm,
# however old. Done already, it only compares one checksum.
set -eu
cd "$(dirname "$0")/.."

stamp=node_modules/.goclaw-setup

# The npm package "node" carries the binary of its version. It goes alone into its own folder and first, because npm
# must already be running under it when the real dependencies are laid out.
fetch_node() {
  if ! command -v npm >/dev/null 2>&1; then
    echo "setup: no fit Node.js (22.18 or newer) and no npm to fetch one with. Install Node.js 24, then run make again." >&2
    exit 1
  fi
  echo "setup: $(node --version 2>/dev/null || echo 'no node') on PATH is too old; fetching Node.js 24 into .node/"
  rm -rf .node
  mkdir .node
  # Its install script links the binary into place; newer npm versions run only the scripts that are named.
  printf '{ "private": true, "allowScripts": { "node": true } }\n' >.node/package.json
  npm install --prefix .node --no-save --no-audit --no-fund --loglevel=error node@24
}

if ! node=$(sh bin/find-node); then
  fetch_node
  node=$(sh bin/find-node) || {
    echo "setup: the fetched Node.js does not run here. Install Node.js 24, or point GOCLAW_NODE at one." >&2
    exit 1
  }
fi
PATH=$(dirname "$node"):$PATH
export PATH

wanted=$(cksum <package-lock.json)
if [ "$(cat "$stamp" 2>/dev/null || true)" = "$wanted" ]; then
  exit 0
fi
echo "setup: installing dependencies under Node.js $(node --version)"
npm ci --loglevel=error
echo "$wanted" >"$stamp"
