#!/bin/sh
# Installs what the tests run against and npm does not carry: a real nats-server, curl, jq, and Debian's gRPC for Python
# and Ruby with their protoc plugins; and compiles hnswlib-node, which no install here does. Installs only what is missing. Where it
# cannot, it says so and succeeds: the tests that need the missing piece then fail and name it, and all others still count.
set -u

# protoc imports the google protos from here; the compiler only recommends the package that has them.
google_protos=/usr/include/google/protobuf/struct.proto

has_python_grpc() { /usr/bin/python3 -c 'import grpc, google.protobuf' >/dev/null 2>&1; }
has_ruby_grpc() { /usr/bin/ruby -e 'require "grpc"' >/dev/null 2>&1; }

graphs=node_modules/hnswlib-node
if [ -d "$graphs" ] && [ ! -e "$graphs/build/Release/addon.node" ]; then
  echo "test-prerequisites: compiling hnswlib-node"
  npm --prefix "$graphs" run rebuild --loglevel=error >"$graphs/build.log" 2>&1 ||
    echo "test-prerequisites: hnswlib-node did not compile (see $graphs/build.log). Its tests will fail." >&2
fi

missing=
needs() { missing="$missing $1"; }
command -v curl >/dev/null 2>&1 || needs curl
command -v git >/dev/null 2>&1 || needs git
command -v jq >/dev/null 2>&1 || needs jq
command -v nats-server >/dev/null 2>&1 || [ -x /usr/sbin/nats-server ] || needs nats-server
command -v protoc >/dev/null 2>&1 || needs protobuf-compiler
[ -e "$google_protos" ] || needs libprotobuf-dev
command -v grpc_python_plugin >/dev/null 2>&1 || needs protobuf-compiler-grpc
# Compiles the shim that makes disks fail and clocks jump (test/torture/shim.c).
command -v cc >/dev/null 2>&1 || needs gcc
[ -e /usr/include/stdio.h ] || needs libc6-dev
has_python_grpc || needs "python3-grpcio python3-protobuf"
has_ruby_grpc || needs ruby-grpc
[ -n "$missing" ] || exit 0

give_up() {
  echo "test-prerequisites: cannot install$missing: $1. The tests that need them will fail." >&2
  exit 0
}

command -v apt-get >/dev/null 2>&1 || give_up "there is no apt-get here"
as_root=
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null || give_up "this needs root or sudo without a password"
  as_root=sudo
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() {
  # shellcheck disable=SC2086
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing >"$log" 2>&1
}

echo "test-prerequisites: installing$missing"
install || { $as_root apt-get update >"$log" 2>&1 && install; } || {
  tail -n 5 "$log" >&2
  give_up "apt-get failed"
}
