#!/bin/bash
# A GoClaw worker made of curl and jq; README.md says how to run it. An agent is a function that reads its input from
# standard input and writes its output to standard output, both JSON; a status other than 0 is a failure.
#
# The main process polls. Every lease has a process of its own, which names the lease again and again, runs the agent in
# another one, and reports its end until the verdict comes. What they share is a directory for each lease.
set -u

server=${GOCLAW_SERVER:-http://127.0.0.1:7420}
names=${GOCLAW_AGENTS:-shell.echo,shell.sleep,shell.fail}
slots=8
beat_seconds=2

# An agent called `shell.echo` does what stands here under `agent_echo`.
agent_echo() { cat; }

agent_sleep() {
  local input
  input=$(cat)
  sleep "$(jq '.ms / 1000' <<<"$input")" &
  trap 'kill $!; exit 143' TERM
  wait $!
  jq -c '{ms}' <<<"$input"
}

agent_fail() {
  jq -r .message >&2
  return 1
}

instance=$(cat /proc/sys/kernel/random/uuid)
held=$(mktemp -d)
trap 'rm -rf "$held"' EXIT
hello=$(jq -nc --arg names "$names" --arg instance "$instance" --argjson slots "$slots" '{protocolVersion: 1, name: "shell",
  instanceId: $instance, agents: ($names | split(",") | map({name: .})), capacity: {slots: {default: $slots}}}')

# call METHOD: sends the JSON on standard input, prints the answer.
call() {
  curl --silent --fail --max-time 40 --header "content-type: application/json" --data-binary @- \
    "$server/goclaw.v1.WorkerService/$1"
}

# The directory of a lease: ids are opaque and may hold anything.
directory_of() { echo "$held/$(sha256sum <<<"$1" | cut -c1-32)"; }

# pause FAILURES: waits for a time drawn evenly from 0 up to 0.1, 0.2, 0.4 … 5 seconds.
pause() {
  local most=$((100 << ($1 < 6 ? $1 : 6)))
  sleep "$(jq -n "$RANDOM / 32768 * $((most < 5000 ? most : 5000)) / 1000")"
}

# stop LEASE HOW: ends the agent of a lease that is `cancelled` or `dropped`.
stop() {
  local directory
  directory=$(directory_of "$1")
  [ -d "$directory" ] || return 0
  touch "$directory/$2"
  kill "$(cat "$directory/agent" 2>/dev/null || echo 0)" 2>/dev/null
}

# Does what an answer of the engine says about leases.
obey() {
  local lease
  while read -r lease; do stop "$(jq -r . <<<"$lease")" cancelled; done < <(jq -c '.cancels[]?.leaseId' <<<"$1")
  while read -r lease; do stop "$(jq -r . <<<"$lease")" dropped; done < <(jq -c '.drops[]?' <<<"$1")
}

# report: sends the report on standard input, without the instance; succeeds when the engine has answered.
report() {
  answer=$(jq -c --arg instance "$instance" '.instanceId = $instance' | call ReportTask) || return 1
  obey "$answer"
}

# The end of an agent as a report.
outcome() {
  local lease=$1 directory=$2 status=$3 class=RETRYABLE
  [ "$status" = 0 ] && jq -c --arg lease "$lease" '{completes: [{leaseId: $lease, output: .}]}' "$directory/output" 2>/dev/null && return
  [ "$status" = 0 ] && class=INVALID && echo "the output is not JSON" >"$directory/errors"
  [ -e "$directory/cancelled" ] && class=CANCELLED
  jq -Rsc --arg lease "$lease" --arg class "FAILURE_CLASS_$class" \
    '{fails: [{leaseId: $lease, class: $class, message: .[:1000]}]}' "$directory/errors"
}

# Runs one lease, from its Assign on standard input to its verdict.
work() {
  local lease=$1 directory=$2 assign agent status failures=0
  assign=$(cat)
  agent=$(jq -r '.agent | split(".") | last' <<<"$assign")
  jq -nc --arg lease "$lease" '{leases: [$lease]}' >"$directory/beat"
  (while [ -d "$directory" ]; do report <"$directory/beat"; sleep "$beat_seconds"; done) &
  local beats=$!
  if [ ! -e "$directory/dropped" ] && [ ! -e "$directory/cancelled" ]; then
    jq -c 'if .inputData then .inputData.data | @base64d | fromjson else .input end' <<<"$assign" >"$directory/input"
    if [ "$(type -t "agent_$agent")" = function ]; then
      "agent_$agent" <"$directory/input" >"$directory/output" 2>"$directory/errors" &
    else
      (echo "no agent $agent here" >"$directory/errors"; exit 1) &
    fi
    echo $! >"$directory/agent"
    # A stop that came before there was anything to stop.
    [ -e "$directory/dropped" ] || [ -e "$directory/cancelled" ] && kill $! 2>/dev/null
    wait $!
  fi
  status=$?
  until [ -e "$directory/dropped" ]; do
    report < <(outcome "$lease" "$directory" "$status") &&
      jq -e --arg lease "$lease" 'any(.verdicts[]?; .leaseId == $lease)' <<<"$answer" >/dev/null && break
    pause $((++failures))
  done
  rm -rf "$directory"
  kill "$beats" 2>/dev/null
}

take() {
  local assign lease directory
  while read -r assign; do
    lease=$(jq -r .lease.leaseId <<<"$assign")
    directory=$(directory_of "$lease")
    # A lease that comes twice is one attempt; its process goes on naming it.
    mkdir "$directory" 2>/dev/null && work "$lease" "$directory" <<<"$assign" &
  done < <(jq -c '.assigns[]?' <<<"$1")
}

draining=
# shellcheck disable=SC2317
drain() {
  draining=1
  kill "$polling" 2>/dev/null
}
trap drain TERM INT

failures=0
while [ -z "$draining" ]; do
  jq -nc --argjson worker "$hello" --argjson slots "$slots" '{worker: $worker, maxTasks: $slots, waitMs: 20000}' |
    call PollTasks >"$held/poll" &
  polling=$!
  if wait "$polling"; then
    failures=0
    answer=$(cat "$held/poll")
    take "$answer"
    obey "$answer"
    sleep "$(jq '(.goAway.reconnectAfterMs // 0) / 1000' <<<"$answer")"
  elif [ -z "$draining" ]; then
    pause $((++failures))
  fi
done
jq -nc --arg instance "$instance" '{instanceId: $instance}' | call DrainWorker >/dev/null
wait
