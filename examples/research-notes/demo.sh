#!/usr/bin/env bash
# Reads a folder of documents with agents that remember, then answers questions from what they remembered, through a real
# daemon. Two dated notes come with it, so that there is something that has faded.
#
#   demo.sh [FOLDER]   default: the documents of this project
set -euo pipefail

here=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
goclaw="$here/../../bin/goclaw"
folder=$(CDPATH='' cd -- "${1:-$here/../../docs}" && pwd -P)
work=$(mktemp -d "${TMPDIR:-/tmp}/goclaw-notes.XXXXXX")
session=research

fail() {
  echo "demo: $*" >&2
  exit 1
}

daemon=
finish() {
  if [[ -n $daemon ]]; then
    kill -TERM "$daemon" 2>/dev/null || true
    wait "$daemon" 2>/dev/null || true
  fi
  rm -rf "$work"
}
trap finish EXIT

# JSON text of a string.
json() {
  local text=${1//\\/\\\\}
  printf '"%s"' "${text//\"/\\\"}"
}

exec {answer}< <(
  exec "$goclaw" serve --config "$here/goclaw.yaml" --data "$work/data" --listen 127.0.0.1:0 2>"$work/daemon.log"
)
daemon=$!
if ! read -r -t 60 line <&"$answer" || [[ $line != "listening on "* ]]; then
  cat "$work/daemon.log" >&2
  fail "the daemon did not start"
fi
export GOCLAW_SERVER=${line#listening on }

run() { "$goclaw" run "$1" --server "$GOCLAW_SERVER" --session "$session" --input "$2" --plain; }
ask() {
  run "$here/ask.yaml" "{\"question\": $(json "$1")}"
  echo
}
days_ago() { node -p "new Date(Date.now() - $1 * 86400000).toISOString().slice(0, 10)"; }

echo "== Reading $folder"
run "$here/read.yaml" "{\"folder\": $(json "$folder")}" | grep -v 'read\['
echo
echo "== Two notes of a while ago"
mkdir "$work/notes"
printf '# Harbour\nThe lighthouse keeper paints the harbour lamp every spring.\n' >"$work/notes/$(days_ago 200).md"
printf '# Orchard\nThe orchard behind the mill was sold to a beekeeper.\n' >"$work/notes/$(days_ago 120).md"
"$goclaw" memory import -s "$session" "$work/notes"
echo
echo "== Questions of later runs"
ask "How do memories grow weak, and when are they forgotten?"
ask "Who paints the harbour lamp?"
echo "== The same again: what was of use has become strong, what was not used goes on fading"
ask "Who paints the harbour lamp?"
"$goclaw" memory search -s "$session" -n 1 "orchard beekeeper"
echo
"$goclaw" memory stats -s "$session"
