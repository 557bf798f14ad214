#!/bin/sh
# Makes gRPC stubs from the repository's protos: stubs.sh python|ruby DIRECTORY. Needs Debian's protobuf-compiler,
# libprotobuf-dev and protobuf-compiler-grpc (or protoc and the plugin of your language from elsewhere).
set -eu

language=${1:?python or ruby}
directory=${2:?where to write the stubs}
root=$(cd "$(dirname "$0")/../.." && pwd)
plugin=$(command -v "grpc_${language}_plugin")

mkdir -p "$directory"
# For Ruby it warns, line by line, of what it leaves out of the validation rules; nothing here needs that.
warnings=$(protoc --proto_path="$root/proto" --proto_path="$root/third_party/proto" \
  --"$language"_out="$directory" --plugin=protoc-gen-grpc="$plugin" --grpc_out="$directory" \
  goclaw/v1/worker_service.proto goclaw/v1/memory_service.proto goclaw/v1/run.proto \
  goclaw/v1/workflow.proto buf/validate/validate.proto 2>&1) || {
  echo "$warnings" >&2
  exit 1
}
