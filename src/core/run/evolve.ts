/**
 * Folding events into state. The only code that changes a run: live, on recovery and in tests alike. It changes the run
 * in place (the writer loop is its only holder), consults the transition table for every status change, and leaves on
 * the agenda what follows from the state alone. It cannot fail: an event that does not fit is a bug, so it asserts.
 */
import { assert, BugError, present, unreachable } from "../../base/assert.ts";
import type { Instant } from "../../base/time.ts";
import { isUnsuccessful } from "./binding.ts";
import { addInstances, NO_DEEDS } from "./birth.ts";
import type { Deed, Event } from "./message.ts";
import { NO_RECALLS } from "./recall.ts";
import {
  agendaOf,
  ENDED_KEPT,
  ENDED_TEXT_MAX,
  type EndedAttempt,
  findTask,
  type MailboxEntry,
  type RunState,
  type TaskState,
} from "./state.ts";
import { isTerminalTask, type RunStatus } from "./status.ts";
import { MOVE_OF_EVENT, nextStatus } from "./task-machine.ts";
import { weigh } from "./weight.ts";

type TaskEvent = Extract<Event, { task: string }>;

/** Applies one event; `run_accepted` made the run and is not applied again. */
export function evolve(run: RunState, event: Event): void {
  run.sequence++;
  run.historyBytes += weigh(event);
  run.latestAt = event.at;
  switch (event.type) {
    case "run_accepted":
      throw new BugError(`run ${run.id} was accepted twice`);
    case "run_started":
      run.status = "RUNNING";
      run.startedAt = event.at;
      for (const task of run.tasks) if (task.waitingFor === 0) becomeReady(run, task, event.at);
      return;
    case "run_ending":
      run.ending = {
        status: event.ending,
        reason: event.reason,
        message: event.message,
        task: event.task,
        graceMs: event.graceMs,
      };
      agendaOf(run).closing = true;
      return;
    case "run_completed":
      return endRun(run, "COMPLETED", event.at);
    case "run_failed":
      run.ending ??= {
        status: "FAILED",
        reason: event.reason,
        message: event.message,
        task: event.task,
        graceMs: 0,
      };
      return endRun(run, "FAILED", event.at);
    case "run_cancelled":
      return endRun(run, "CANCELLED", event.at);
    default:
      evolveTask(run, present(findTask(run, event.task), `task ${event.task}`), event);
  }
}

function endRun(run: RunState, status: RunStatus, at: Instant): void {
  assert(run.open === 0 && run.leases === 0, `run ${run.id} ended with open tasks`);
  run.status = status;
  run.endedAt = at;
}

function evolveTask(
  run: RunState,
  task: TaskState,
  event: Exclude<TaskEvent, { type: `run_${string}` }>,
): void {
  const move = MOVE_OF_EVENT[event.type];
  if (move !== undefined) {
    const to = nextStatus(task.status, move);
    assert(to !== undefined, `${task.id}: ${move} is not possible from ${task.status}`);
    task.status = to;
    task.since = event.at;
  }
  switch (event.type) {
    case "task_scheduled":
      task.lane = event.lane;
      return;
    case "task_started":
      return startAttempt(run, task, event);
    case "task_returned":
      task.attempt = event.attempt - 1;
      return returnLease(run, task, undefined);
    case "task_deeds":
      task.deeds = withDeeds(task.deeds, event.deeds);
      return;
    case "task_recalled":
      task.recalls = [...task.recalls, event.recall];
      return;
    case "task_progress":
      task.percent = event.percent;
      task.note = event.note;
      return;
    case "task_checkpointed":
      task.checkpoint = event.data;
      return;
    case "task_completed":
      task.output = event.output;
      returnLease(run, task, undefined);
      return close(run, task, event.at);
    case "task_retrying":
      task.reason = event.reason;
      task.message = event.message;
      task.ended = withEnded(task.ended, event);
      task.dueAt = event.dueAt;
      task.stopping = undefined;
      if (event.counted) task.failures++;
      if (event.input !== undefined) task.replacedInput = event.input;
      return returnLease(run, task, event.stopGraceMs);
    case "task_failed":
    case "task_cancelled":
      task.reason = event.reason;
      task.message = event.message;
      returnLease(run, task, event.stopGraceMs);
      return close(run, task, event.at);
    case "task_skipped":
      task.reason = event.reason;
      return close(run, task, event.at);
    case "task_expanded":
      addInstances(run, task, event.items, event.at);
      return openGroup(run, task, event.at);
    case "task_waiting":
      task.note = event.note;
      return returnLease(run, task, undefined);
    case "task_resumed":
      task.lease = ++task.fence;
      run.leases++;
      return;
    case "task_stopping":
      task.stopping = event.signal;
      return;
    case "lease_ended":
      returnLease(run, task, undefined);
      if (task.status === "RETRYING" && task.dueAt <= event.at)
        agendaOf(run).ready.push(task.index);
      return;
    case "signal_accepted":
      return acceptSignal(run, task, event);
    case "signal_receipt":
      entryOf(task, event.signal).receipt = event.receipt;
      return;
    case "signal_collected":
      entryOf(task, event.signal).collected = { finished: event.finished, missing: event.missing };
      dropCollect(run, task, event.signal);
      return;
    default:
      return unreachable(event);
  }
}

function startAttempt(
  run: RunState,
  task: TaskState,
  event: Extract<Event, { type: "task_started" }>,
): void {
  task.attempt = event.attempt;
  task.fence = event.lease ?? event.attempt;
  task.lease = task.fence;
  task.worker = event.worker;
  task.startedAt = event.at;
  task.reason = undefined;
  task.message = "";
  task.percent = 0;
  task.note = "";
  run.leases++;
}

function withEnded(
  known: readonly EndedAttempt[],
  { attempt, reason, message }: EndedAttempt,
): readonly EndedAttempt[] {
  const ended = { attempt, reason, message: message.slice(0, ENDED_TEXT_MAX) };
  return [...known.slice(1 - ENDED_KEPT), ended];
}

/** The latest deed of a name takes the place of an earlier one. */
function withDeeds(known: readonly Deed[], added: readonly Deed[]): readonly Deed[] {
  const byName = new Map(known.map((deed) => [deed.name, deed]));
  for (const deed of added) byName.set(deed.name, deed);
  return [...byName.values()];
}

function openGroup(run: RunState, parent: TaskState, at: Instant): void {
  const { first, count } = present(parent.group, "the group");
  for (let index = first; index < first + count; index++) {
    becomeReady(run, run.tasks[index] as TaskState, at);
  }
  if (count === 0) agendaOf(run).joinable.push(parent.index);
}

function becomeReady(run: RunState, task: TaskState, at: Instant): void {
  if (task.readyAt === 0) task.readyAt = at;
  agendaOf(run).ready.push(task.index);
}

/** Gives the slot back, unless an attempt is still out and told to stop. */
function returnLease(run: RunState, task: TaskState, stopGraceMs: number | undefined): void {
  if (task.lease === 0 || stopGraceMs !== undefined) return;
  task.lease = 0;
  run.leases--;
}

/** A task reached a terminal status: tell whoever waits for it. */
function close(run: RunState, task: TaskState, at: Instant): void {
  run.open--;
  task.stopping = undefined;
  task.checkpoint = undefined;
  task.deeds = NO_DEEDS;
  task.recalls = NO_RECALLS;
  if (task.mailbox?.some(isUnadmitted)) agendaOf(run).expiring.push(task.index);
  if (isUnsuccessful(task) && task.node.task.onError.kind === "fail") agendaOf(run).fatal ??= task;
  if (task.item !== undefined) return closeInstance(run, task);
  const { guards, fallback } = task.node;
  if (fallback !== undefined && isUnsuccessful(task) && isOpen(run, fallback)) {
    resolveOne(run, fallback, at);
  } else {
    for (const index of task.node.dependents) resolveOne(run, index, at);
  }
  if (guards === undefined) return;
  const guarded = run.tasks[guards] as TaskState;
  if (!isUnsuccessful(guarded)) return;
  for (const index of guarded.node.dependents) if (index !== task.index) resolveOne(run, index, at);
}

/** Whether a task can still end; a fallback may have been interrupted before it was needed. */
function isOpen(run: RunState, index: number): boolean {
  return !isTerminalTask((run.tasks[index] as TaskState).status);
}

function closeInstance(run: RunState, task: TaskState): void {
  const parent = run.tasks[task.node.index] as TaskState;
  const group = present(parent.group, "the group of an instance");
  group.open--;
  if (group.open === 0) agendaOf(run).joinable.push(parent.index);
}

function resolveOne(run: RunState, index: number, at: Instant): void {
  const task = run.tasks[index] as TaskState;
  task.waitingFor--;
  if (task.waitingFor === 0 && !isTerminalTask(task.status)) becomeReady(run, task, at);
}

/** A signal that still waits for its agent. */
export function isUnadmitted(entry: MailboxEntry): boolean {
  return (
    entry.receipt === "accepted" || entry.receipt === "queued" || entry.receipt === "delivered"
  );
}

function acceptSignal(
  run: RunState,
  task: TaskState,
  event: Extract<Event, { type: "signal_accepted" }>,
): void {
  task.mailbox ??= [];
  task.mailbox.push({
    signal: event.signal,
    content: event.content,
    acceptedAt: event.at,
    receipt: "accepted",
    collected: undefined,
  });
  if (event.content.kind === "collect") {
    agendaOf(run).collecting.push({ task: task.index, signal: event.signal });
  }
  // A running attempt keeps its input until it has ended; see `task_retrying`.
  const isWaiting = task.status !== "RUNNING";
  if (event.content.kind === "interrupt" && isWaiting && event.content.replaceWith) {
    task.replacedInput = event.content.replaceWith;
  }
}

function entryOf(task: TaskState, signal: string): MailboxEntry {
  return present(
    task.mailbox?.find((entry) => entry.signal === signal),
    `signal ${signal} of ${task.id}`,
  );
}

function dropCollect(run: RunState, task: TaskState, signal: string): void {
  const { collecting } = run.agenda;
  const at = collecting.findIndex((c) => c.task === task.index && c.signal === signal);
  if (at !== -1) collecting.splice(at, 1);
}
