#!/usr/bin/env bash
# Analyses a git repository with agents through a real daemon: starts one on a free port, submits the workflow over gRPC,
# shows its progress, and prints where the report is and how it begins. Fails when anything of that does.
#
#   demo.sh [REPOSITORY [REPORT]]   default: the repository of this checkout, and a file in a new temporary directory
set -euo pipefail

here=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
goclaw="$here/../../bin/goclaw"
head_lines=40

fail() {
  echo "demo: $*" >&2
  exit 1
}

command -v git >/dev/null || fail "git is needed to read a repository"
repository=$(git -C "${1:-$here}" rev-parse --show-toplevel) || fail "${1:-$here} is in no git working tree"
work=$(mktemp -d "${TMPDIR:-/tmp}/goclaw-demo.XXXXXX")
report=${2:-$work/report.md}
[[ $report == /* ]] || report=$PWD/$report

daemon=
# Asks the daemon to stop and returns its exit code. It may take 30 s to drain; one that takes longer is killed.
stop_daemon() {
  local pid=$daemon
  daemon=
  kill -TERM "$pid" 2>/dev/null || true
  for ((waited = 0; waited < 400; waited++)); do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  if kill -KILL "$pid" 2>/dev/null; then echo "demo: the daemon did not stop" >&2; fi
  wait "$pid"
}

finish() {
  if [[ -n $daemon ]]; then stop_daemon || true; fi
  rm -rf "$work/data"
  rmdir "$work" 2>/dev/null || true
}
trap finish EXIT

# A path as JSON text.
json() {
  local text=${1//\\/\\\\}
  printf '"%s"' "${text//\"/\\\"}"
}

# Piped output would be three lines per file: instances of the fan-out become a count.
summarise() {
  local line done=0
  while IFS= read -r line; do
    if [[ $line != *"analyze["* ]]; then
      printf '%s\n' "$line"
    elif [[ $line == *task_completed* ]] && (((done += 1) % 100 == 0)); then
      printf '         %s files analysed\n' "$done"
    fi
  done
}

echo "Repository: $repository"
if [[ $(git -C "$repository" rev-parse --is-shallow-repository) == true ]]; then
  echo "It is a shallow clone: the report knows only the history that was fetched (git fetch --unshallow gets the rest)."
fi

exec {answer}< <(
  exec "$goclaw" serve --config "$here/goclaw.yaml" --data "$work/data" --listen 127.0.0.1:0 2>"$work/daemon.log"
)
daemon=$!
if ! read -r -t 60 line <&"$answer" || [[ $line != "listening on "* ]]; then
  cat "$work/daemon.log" >&2
  fail "the daemon did not start"
fi
server=${line#listening on }
echo "Daemon:     $server (its log: $work/daemon.log)"
echo

run=("$goclaw" run "$here/workflow.yaml" --server "$server"
  --input "{\"repository\": $(json "$repository"), \"report\": $(json "$report")}")
status=0
if [[ -t 1 ]]; then
  "${run[@]}" || status=$?
else
  "${run[@]}" --plain | summarise || status=$?
fi

stopped=0
stop_daemon || stopped=$?
if ((status != 0 || stopped != 0)); then
  tail -n 20 "$work/daemon.log" >&2
  fail "the run ended with $status and the daemon with $stopped"
fi

echo
echo "Report:     $report"
echo
head -n "$head_lines" "$report"
lines=$(wc -l <"$report")
if ((lines > head_lines)); then echo "… $((lines - head_lines)) more lines"; fi
