/**
 * What follows from a run's state by itself: ready tasks are scheduled, expanded or skipped, groups join, a fatal
 * failure ends the run, the last task completes it. Called after every command until nothing is left; each consequence
 * goes through `emit`, which must evolve the run before it returns, so one call draws a whole cascade. Reads lanes only
 * through the verdict it is given, and time only through `at`.
 */
import { unreachable } from "../../base/assert.ts";
import { type Json, jsonPayload } from "../../base/payload.ts";
import type { Instant } from "../../base/time.ts";
import type { Verdict } from "../lane/lane.ts";
import { inputOf, isUnsuccessful, runOutput, scopeOf, taskOf } from "./binding.ts";
import { completeCollects, expireSignals } from "./decide-signal.ts";
import { historyExcess, type RunLimits } from "./limits.ts";
import type { Event } from "./message.ts";
import {
  IDLE_AGENDA,
  letsTasksFinish,
  type RunState,
  STOP_GRACE_MS,
  type TaskState,
} from "./state.ts";
import { isTerminalRun, isTerminalTask, type Reason } from "./status.ts";

/** What `advance` needs from its caller. */
export interface AdvanceContext {
  readonly at: Instant;
  /** A run whose history exceeds its limits ends as FAILED, and so does a `for_each` with too many items. */
  readonly limits: RunLimits;
  /** The lane's answer to a task that is ready. */
  readonly verdictOf: (task: TaskState) => Verdict;
  /** Journals the event and evolves the run, before returning. */
  readonly emit: (run: RunState, event: Event) => void;
  /** The task stays PENDING outside its full lane; whoever is told offers it again. */
  readonly blocked: (task: TaskState) => void;
}

/** Draws every consequence of the run's present state. */
export function advance(run: RunState, context: AdvanceContext): void {
  if (run.status === "PENDING" && run.ending === undefined) return;
  if (run.ending === undefined || letsTasksFinish(run)) endBeyondLimit(run, context);
  for (;;) {
    const { agenda } = run;
    if (agenda.fatal !== undefined) endAfterFailure(run, agenda.fatal, context);
    if (agenda.closing) closeRest(run, context);
    else if (agenda.ready.length > 0) advanceReady(run, context);
    else if (agenda.joinable.length > 0) join(run, context);
    else if (agenda.expiring.length > 0) expire(run, context);
    else break;
  }
  for (const event of completeCollects(run, context.at)) context.emit(run, event);
  if (run.agenda.collecting.length === 0) run.agenda = IDLE_AGENDA;
  if (run.open === 0 && run.leases === 0 && !isTerminalRun(run.status))
    context.emit(run, lastEvent(run, context.at));
}

function endAfterFailure(run: RunState, task: TaskState, { at, emit }: AdvanceContext): void {
  run.agenda.fatal = undefined;
  if (run.ending !== undefined) return;
  const reason = task.reason ?? "RUN_FAILED";
  const { message, id } = task;
  emit(run, {
    type: "run_ending",
    at,
    ending: "FAILED",
    reason,
    message,
    task: id,
    graceMs: STOP_GRACE_MS,
  });
}

function endBeyondLimit(run: RunState, { at, emit, limits }: AdvanceContext): void {
  const exceeded = historyExcess(run, limits);
  if (exceeded === undefined || run.open === 0) return;
  const unit = exceeded === "historyEvents" ? "events" : "bytes of events";
  const message = `the run has more than ${limits[exceeded]} ${unit}`;
  emit(run, {
    type: "run_ending",
    at,
    ending: "FAILED",
    reason: "LIMIT_EXCEEDED",
    message,
    graceMs: STOP_GRACE_MS,
  });
}

/** Ends every task that an ending run does not wait for. */
function closeRest(run: RunState, context: AdvanceContext): void {
  run.agenda.closing = false;
  run.agenda.ready.length = 0;
  const cancelled = run.ending?.status === "CANCELLED";
  const hasStopped = !letsTasksFinish(run);
  for (const task of run.tasks) {
    if (isTerminalTask(task.status) || (task.status === "RUNNING" && !hasStopped)) continue;
    if (task.group !== undefined && !hasStopped && task.group.open > 0) continue;
    context.emit(
      run,
      closingEvent(run, task, cancelled ? "CANCELLED_BY_USER" : "RUN_FAILED", context.at),
    );
  }
}

function closingEvent(run: RunState, task: TaskState, reason: Reason, at: Instant): Event {
  const started = task.attempt > 0 || task.group !== undefined;
  if (reason === "RUN_FAILED" && !started) {
    return { type: "task_skipped", at, task: task.id, reason: "UPSTREAM_FAILED" };
  }
  return {
    type: "task_cancelled",
    at,
    task: task.id,
    reason,
    message: run.ending?.message ?? "",
    ...(task.lease === 0 ? {} : { stopGraceMs: run.ending?.graceMs ?? STOP_GRACE_MS }),
  };
}

function advanceReady(run: RunState, context: AdvanceContext): void {
  const ready = run.agenda.ready.splice(0);
  for (const index of ready) {
    if (run.agenda.fatal !== undefined || run.ending !== undefined) return;
    const task = taskOf(run, index);
    if (task.status === "RETRYING" && task.lease === 0 && task.dueAt <= context.at) {
      context.emit(run, { type: "task_scheduled", at: context.at, task: task.id, lane: task.lane });
    } else if (task.status === "PENDING") {
      settleReady(run, task, context);
    }
  }
}

/** One task whose dependencies are resolved: skip, expand, fail or offer it to its lane. */
function settleReady(run: RunState, task: TaskState, context: AdvanceContext): void {
  const { at, emit } = context;
  const skip = task.item === undefined ? skipReason(run, task) : undefined;
  if (skip !== undefined)
    return emit(run, { type: "task_skipped", at, task: task.id, reason: skip });
  if (task.item === undefined && task.node.when !== undefined) {
    const held = task.node.when.evaluate(scopeOf(run, task));
    if ("problem" in held) return emit(run, expressionFailed(task, at, `when: ${held.problem}`));
    if (typeof held.value !== "boolean") {
      return emit(run, expressionFailed(task, at, "when: the condition is not true or false"));
    }
    if (!held.value) {
      return emit(run, { type: "task_skipped", at, task: task.id, reason: "CONDITION_FALSE" });
    }
  }
  if (task.item === undefined && task.node.forEach !== undefined) return expand(run, task, context);
  if (task.node.input !== undefined) {
    const input = inputOf(run, task);
    if ("problem" in input) return emit(run, expressionFailed(task, at, `input: ${input.problem}`));
  }
  offer(task, context);
}

/** A fallback without a failure, or a task none of whose dependencies has anything to give. */
function skipReason(run: RunState, task: TaskState): Reason | undefined {
  const { guards } = task.node;
  if (guards !== undefined && !isUnsuccessful(taskOf(run, guards))) return "CONDITION_FALSE";
  const deps = task.node.deps.filter((index) => index !== guards);
  const allSkipped = deps.length > 0 && deps.every((index) => isBarren(run, taskOf(run, index)));
  return allSkipped ? "UPSTREAM_FAILED" : undefined;
}

/** Skipped, and not replaced by a fallback's result. */
function isBarren(run: RunState, task: TaskState): boolean {
  const { fallback } = task.node;
  if (fallback !== undefined && isUnsuccessful(task))
    return taskOf(run, fallback).status === "SKIPPED";
  return task.status === "SKIPPED";
}

function expressionFailed(task: TaskState, at: Instant, message: string): Event {
  return {
    type: "task_failed",
    at,
    task: task.id,
    attempt: task.attempt,
    reason: "EXPRESSION_ERROR",
    message,
  };
}

function expand(run: RunState, task: TaskState, { at, emit, limits }: AdvanceContext): void {
  const listed = task.node.forEach?.evaluate(scopeOf(run, task));
  if (listed === undefined || "problem" in listed) {
    return emit(run, expressionFailed(task, at, `for_each: ${listed?.problem ?? "no expression"}`));
  }
  if (!Array.isArray(listed.value)) {
    return emit(run, expressionFailed(task, at, "for_each: the expression does not yield a list"));
  }
  const items = listed.value as readonly Json[];
  if (run.tasks.length + items.length > limits.tasks) {
    return emit(run, {
      type: "task_failed",
      at,
      task: task.id,
      attempt: 0,
      reason: "LIMIT_EXCEEDED",
      message: `for_each: ${items.length} items would exceed ${limits.tasks} tasks in the run`,
    });
  }
  emit(run, { type: "task_expanded", at, task: task.id, items: items.map(jsonPayload) });
}

function offer(task: TaskState, { at, emit, verdictOf, blocked }: AdvanceContext): void {
  const verdict = verdictOf(task);
  switch (verdict.kind) {
    case "accepted":
      return emit(task.run, { type: "task_scheduled", at, task: task.id, lane: verdict.lane });
    case "redirected":
      return emit(task.run, {
        type: "task_scheduled",
        at,
        task: task.id,
        lane: verdict.lane,
        redirectedFrom: verdict.from,
      });
    case "dropped":
      return emit(task.run, {
        type: "task_failed",
        at,
        task: task.id,
        attempt: 0,
        reason: "DROPPED",
        message: `lane "${verdict.lane}" is full`,
      });
    case "blocked":
      return blocked(task);
    default:
      return unreachable(verdict);
  }
}

function join(run: RunState, { at, emit }: AdvanceContext): void {
  for (const index of run.agenda.joinable.splice(0)) {
    const parent = taskOf(run, index);
    if (parent.status !== "WAITING") continue;
    if (hasClosedInstance(run, parent)) emit(run, closingEvent(run, parent, "RUN_FAILED", at));
    else emit(run, { type: "task_completed", at, task: parent.id, attempt: 0 });
  }
}

/** Whether the run's end came before that of some instance: the list of results is not whole. */
function hasClosedInstance(run: RunState, { group }: TaskState): boolean {
  if (group === undefined || run.ending === undefined) return false;
  for (let index = group.first; index < group.first + group.count; index++) {
    const instance = taskOf(run, index);
    if (instance.status !== "COMPLETED" && !isUnsuccessful(instance)) return true;
  }
  return false;
}

function expire(run: RunState, { at, emit }: AdvanceContext): void {
  for (const index of run.agenda.expiring.splice(0)) {
    for (const event of expireSignals(taskOf(run, index), at)) emit(run, event);
  }
}

function lastEvent(run: RunState, at: Instant): Event {
  const { ending } = run;
  if (ending?.status === "CANCELLED") return { type: "run_cancelled", at, message: ending.message };
  if (ending !== undefined) {
    const { reason, message, task } = ending;
    return { type: "run_failed", at, reason, message, ...(task === undefined ? {} : { task }) };
  }
  const output = run.plan.output === undefined ? undefined : runOutput(run);
  if (output !== undefined && "problem" in output) {
    return {
      type: "run_failed",
      at,
      reason: "EXPRESSION_ERROR",
      message: `output: ${output.problem}`,
    };
  }
  return { type: "run_completed", at };
}
