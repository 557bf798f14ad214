#!/usr/bin/env bash
# Fails when gen/ or the printed validation proto is not what their sources produce today. It generates beside them and
# compares, so it needs no clean git tree and changes nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT

validate=buf/validate/validate.proto
node scripts/print-validate-proto.ts "$fresh/validate.proto"
buf generate -o "$fresh"

if ! diff -u "third_party/proto/$validate" "$fresh/validate.proto" || ! diff -ru gen "$fresh/gen"; then
  echo "generated files are stale: run 'make generate' and commit the result" >&2
  exit 1
fi
