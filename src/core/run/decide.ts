/**
 * What a command means for a run: the events that answer it, or the fault that refuses it. Pure and total; it reads the
 * state and never changes it. Only the direct answer is decided here. What follows from the new state by itself (ready
 * dependents, joins, the end of the run) is drawn by `advance` right afterwards, so no rule is written twice.
 *
 * A report, timer or receipt that no longer fits (stale attempt, finished task) is no error: it yields no event.
 */

import { unreachable } from "../../base/assert.ts";
import { type Fault, fault } from "../../base/fault.ts";
import { nearestName } from "../../base/ids.ts";
import { MEMORY_LIMITS } from "../../base/memory-limits.ts";
import {
  admitInterrupts,
  decideCollectDeadline,
  decideReceipt,
  decideSignal,
} from "./decide-signal.ts";
import { hasRoomForNews } from "./limits.ts";
import type { Command, Event, Outcome, SignalContent } from "./message.ts";
import { backoffMs, failureOf, mayRetry } from "./retry.ts";
import {
  findTask,
  letsTasksFinish,
  type RunState,
  STOP_GRACE_MS,
  type TaskState,
} from "./state.ts";
import { isTerminalRun, isTerminalTask, type Reason } from "./status.ts";
import { memoryOutcome, recallOf } from "./task-memory.ts";

/** Events in order, possibly none; or why not. */
export type Decision = readonly Event[] | Fault;

/** Whether a decision is a refusal. */
export function isFault(decision: Decision): decision is Fault {
  return !Array.isArray(decision);
}

const NOTHING: readonly Event[] = [];

type Interrupt = Extract<SignalContent, { kind: "interrupt" }>;

type RunCommand = Exclude<Command, { type: "accept" }>;

/** Decides any command on an existing run. */
export function decide(run: RunState, command: RunCommand): Decision {
  switch (command.type) {
    case "begin":
      return run.status === "PENDING" && run.ending === undefined
        ? [{ type: "run_started", at: command.at }]
        : NOTHING;
    case "cancel":
      return decideCancel(run, command);
    case "recover":
      return run.tasks
        .filter((task) => task.lease !== 0 && task.worker === undefined)
        .flatMap((task) => lostUncounted(run, task, command.at, RESTARTED));
    case "timer":
      return decideTimer(run, command);
    default: {
      const task = findTask(run, command.task);
      if (task === undefined) return taskNotFound(run, command.task);
      return decideTask(run, task, command);
    }
  }
}

function taskNotFound(run: RunState, taskId: string): Fault {
  const nearest = nearestName(taskId, run.plan.indexOf.keys());
  return fault("TASK_NOT_FOUND", { runId: run.id, taskId, nearest });
}

type TaskCommand = Exclude<RunCommand, { type: "begin" | "cancel" | "recover" | "timer" }>;

function decideTask(run: RunState, task: TaskState, command: TaskCommand): Decision {
  const { at } = command;
  switch (command.type) {
    case "start":
      return task.status === "SCHEDULED" && task.lease === 0 && run.ending === undefined
        ? [started(task, at, command.worker)]
        : NOTHING;
    case "drop":
      return task.status === "SCHEDULED" || task.status === "PENDING"
        ? [failed(task, at, "DROPPED", `lane "${command.lane}" is full`)]
        : NOTHING;
    case "report":
      return decideReport(run, task, command.lease, command.outcome, at);
    case "progress":
      return isCurrent(task, command.lease) && hasRoomForNews(run, command.limits)
        ? [
            {
              type: "task_progress",
              at,
              task: task.id,
              attempt: task.attempt,
              percent: command.percent,
              note: command.note,
            },
          ]
        : NOTHING;
    case "checkpoint":
      return isCurrent(task, command.lease)
        ? [
            {
              type: "task_checkpointed",
              at,
              task: task.id,
              attempt: task.attempt,
              data: command.data,
            },
          ]
        : NOTHING;
    case "deeds": {
      const { id, attempt } = task;
      return isCurrent(task, command.lease)
        ? [{ type: "task_deeds", at, task: id, attempt, deeds: command.deeds }]
        : NOTHING;
    }
    case "recall":
      return decideRecall(task, command);
    case "signal":
      return decideSignal(run, task, command);
    case "receipt":
      return decideReceipt(task, command);
    default:
      return unreachable(command);
  }
}

function started(task: TaskState, at: number, worker: string | undefined): Event {
  const attempt = task.attempt + 1;
  const lease = task.fence + 1;
  return {
    type: "task_started",
    at,
    task: task.id,
    attempt,
    ...(lease === attempt ? {} : { lease }),
    ...(worker === undefined ? {} : { worker }),
  };
}

/** A question is answered once; so many questions are enough for any task. */
function decideRecall(task: TaskState, command: Extract<Command, { type: "recall" }>): Decision {
  const { at, lease, recall } = command;
  if (!isCurrent(task, lease) || task.recalls.length >= MEMORY_LIMITS.questions) return NOTHING;
  if (recallOf(task, recall.question) !== undefined) return NOTHING;
  return [{ type: "task_recalled", at, task: task.id, attempt: task.attempt, recall }];
}

/** Whether `lease` is the one that runs now; everything else is a voice from the past. */
function isCurrent(task: TaskState, lease: number): boolean {
  return task.status === "RUNNING" && task.lease === lease;
}

function failed(task: TaskState, at: number, reason: Reason, message: string): Event {
  return { type: "task_failed", at, task: task.id, attempt: task.attempt, reason, message };
}

function decideCancel(run: RunState, command: Extract<Command, { type: "cancel" }>): Decision {
  if (isTerminalRun(run.status))
    return fault("RUN_TERMINAL", { runId: run.id, status: run.status });
  if (run.ending !== undefined && !letsTasksFinish(run)) return NOTHING;
  return [
    {
      type: "run_ending",
      at: command.at,
      ending: "CANCELLED",
      reason: "CANCELLED_BY_USER",
      message: command.reason,
      graceMs: command.graceMs,
    },
  ];
}

/** The end of an attempt: result, failure, loss, or the late answer of one that had been stopped. */
function decideReport(
  run: RunState,
  task: TaskState,
  lease: number,
  outcome: Outcome,
  at: number,
): Decision {
  if (task.lease === 0 || task.lease !== lease) return NOTHING;
  const { attempt } = task;
  if (task.status !== "RUNNING") return [{ type: "lease_ended", at, task: task.id, attempt }];
  const interrupt = interruptOf(task);
  const isReplaced = interrupt?.replaceWith !== undefined && run.ending === undefined;
  if (interrupt !== undefined && (isReplaced || outcome.kind !== "success")) {
    return interrupted(run, task, at, interrupt);
  }
  if (outcome.kind === "success") {
    const { output, memories } = outcome;
    const memory = memoryOutcome(run, task, output, memories);
    const learned = memory === undefined ? {} : { memory };
    return [{ type: "task_completed", at, task: task.id, attempt, output, ...learned }];
  }
  if (outcome.kind === "returned") {
    return run.ending === undefined
      ? [{ type: "task_returned", at, task: task.id, attempt }]
      : lostUncounted(run, task, at, NOT_TAKEN_UP);
  }
  if (outcome.kind === "lost" && outcome.counted === false) {
    return lostUncounted(run, task, at, outcome.message);
  }
  const failure = failureOf(outcome);
  return [afterFailure(run, task, at, failure.reason, failure.message, failure)];
}

function interruptOf(task: TaskState): Interrupt | undefined {
  if (task.stopping === undefined) return undefined;
  const content = task.mailbox?.find((entry) => entry.signal === task.stopping)?.content;
  return content?.kind === "interrupt" ? content : undefined;
}

/** What an interrupt comes to: another attempt with its input, or the end of the task. */
function interrupted(
  run: RunState,
  task: TaskState,
  at: number,
  { reason: message, replaceWith: input }: Interrupt,
  held: { readonly stopGraceMs?: number } = {},
): readonly Event[] {
  const { id, attempt } = task;
  const event: Event =
    input === undefined || run.ending !== undefined
      ? { type: "task_cancelled", at, task: id, reason: "INTERRUPTED", message, ...held }
      : {
          type: "task_retrying",
          at,
          task: id,
          attempt,
          reason: "INTERRUPTED",
          message,
          dueAt: at,
          input,
          counted: false,
          ...held,
        };
  return [...admitInterrupts(task, at), event];
}

/** Another attempt, or the end of the task. */
function afterFailure(
  run: RunState,
  task: TaskState,
  at: number,
  reason: Reason,
  message: string,
  options: { retryable: boolean; retryAfterMs: number | undefined; stopGraceMs?: number },
): Event {
  const { retry } = task.node.task;
  const held = options.stopGraceMs === undefined ? {} : { stopGraceMs: options.stopGraceMs };
  const failures = task.failures + 1;
  if (!options.retryable || run.ending !== undefined || !mayRetry(retry, failures, task.attempt)) {
    return { ...failed(task, at, reason, message), ...held } as Event;
  }
  const wait = options.retryAfterMs ?? backoffMs(retry, failures, run.id, task.id, task.attempt);
  return {
    type: "task_retrying",
    at,
    task: task.id,
    attempt: task.attempt,
    reason,
    message,
    // Commands have whole instants: one that fell due in between would never be found due.
    dueAt: at + Math.ceil(wait),
    counted: true,
    ...held,
  };
}

const RESTARTED = "the daemon restarted while the attempt ran";
const NOT_TAKEN_UP = "no worker took the attempt up";

/** Nothing the task did wrong ended this attempt, so it does not count. */
function lostUncounted(
  run: RunState,
  task: TaskState,
  at: number,
  message: string,
): readonly Event[] {
  const { id, attempt } = task;
  if (task.status !== "RUNNING") {
    return [{ type: "lease_ended", at, task: id, attempt }];
  }
  const interrupt = interruptOf(task);
  if (interrupt !== undefined) return interrupted(run, task, at, interrupt);
  // The run waits only for what runs: nothing of it starts again.
  if (run.ending !== undefined) return [failed(task, at, "WORKER_LOST", message)];
  return [
    {
      type: "task_retrying",
      at,
      task: id,
      attempt,
      reason: "WORKER_LOST",
      message,
      dueAt: at,
      counted: false,
    },
  ];
}

function decideTimer(run: RunState, command: Extract<Command, { type: "timer" }>): Decision {
  const { at } = command;
  if (command.timer === "run_deadline") {
    if (isTerminalRun(run.status)) return NOTHING;
    if (run.ending !== undefined && !letsTasksFinish(run)) return NOTHING;
    return [
      {
        type: "run_ending",
        at,
        ending: "FAILED",
        reason: "DEADLINE",
        message: "the run's deadline passed",
        graceMs: STOP_GRACE_MS,
      },
    ];
  }
  const task = command.task === undefined ? undefined : findTask(run, command.task);
  if (task === undefined || isTerminalTask(task.status)) return NOTHING;
  const interrupt = interruptOf(task);
  switch (command.timer) {
    case "attempt_timeout":
      if (command.lease === undefined || !isCurrent(task, command.lease)) return NOTHING;
      if (interrupt !== undefined) {
        return interrupted(run, task, at, interrupt, { stopGraceMs: STOP_GRACE_MS });
      }
      return [
        afterFailure(run, task, at, "TIMED_OUT", "the attempt took longer than its timeout", {
          retryable: true,
          retryAfterMs: undefined,
          stopGraceMs: STOP_GRACE_MS,
        }),
      ];
    case "task_deadline":
      return [
        {
          ...failed(task, at, "DEADLINE", "the task's deadline passed"),
          ...(task.lease === 0 ? {} : { stopGraceMs: STOP_GRACE_MS }),
        } as Event,
      ];
    case "retry_due":
      return task.status === "RETRYING" && task.lease === 0 && task.dueAt <= at
        ? [{ type: "task_scheduled", at, task: task.id, lane: task.lane }]
        : NOTHING;
    case "collect_deadline":
      return decideCollectDeadline(run, task, command.signal ?? "", at);
    default:
      return unreachable(command.timer);
  }
}
