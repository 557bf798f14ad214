/**
 * What a signal means for a task: steer waits in the mailbox for the agent's next look, interrupt asks the running
 * attempt to stop (or takes a waiting task out of its queue), collect gathers results of other tasks first. Every
 * refusal is distinct: unknown, finished, full, not addressable. A repeated id changes nothing.
 */
import { unreachable } from "../../base/assert.ts";
import { type Fault, fault } from "../../base/fault.ts";
import { nearestName } from "../../base/ids.ts";
import { durationExcess, type Excess, payloadExcess, type ValueLimits } from "../dag/limits.ts";
import { isUnadmitted } from "./evolve.ts";
import type { CollectMode, Command, Event, Receipt, SignalContent } from "./message.ts";
import { findTask, type MailboxEntry, type RunState, type TaskState } from "./state.ts";
import { isTerminalRun, isTerminalTask } from "./status.ts";

/** Most signals of one task in its life, so that a mailbox cannot grow without end. */
const SIGNALS_PER_TASK_MAX = 1_000;

/** The first limit that a signal's payload or duration exceeds, or undefined. */
export function signalExcess(content: SignalContent, limits: ValueLimits): Excess | undefined {
  switch (content.kind) {
    case "steer":
      return (
        payloadExcess("steer.payload", content.payload, limits) ??
        payloadExcess("steer.text", { json: content.text }, limits)
      );
    case "interrupt":
      return (
        durationExcess("interrupt.grace", content.graceMs, limits) ??
        payloadExcess("interrupt.replace_with", content.replaceWith, limits)
      );
    case "collect":
      return durationExcess("collect.deadline", content.deadlineMs, limits);
    default:
      return unreachable(content);
  }
}

type SignalCommand = Extract<Command, { type: "signal" }>;

export function decideSignal(
  run: RunState,
  task: TaskState,
  command: SignalCommand,
): readonly Event[] | Fault {
  if (task.mailbox?.some((entry) => entry.signal === command.signal)) return [];
  const refusal = refusalOf(run, task, command);
  if (refusal !== undefined) return refusal;
  const { at, signal, content } = command;
  const accepted: Event = { type: "signal_accepted", at, task: task.id, signal, content };
  switch (content.kind) {
    case "steer":
      return task.status === "RUNNING"
        ? [accepted]
        : [accepted, receiptEvent(task, at, signal, "queued")];
    case "interrupt":
      return [accepted, ...interruptEvents(task, command, content)];
    case "collect": {
      const standing = standingOf(run, content.tasks);
      return isComplete(content.mode, content.tasks.length, standing.finished.length)
        ? [accepted, { type: "signal_collected", at, task: task.id, signal, ...standing }]
        : [accepted, receiptEvent(task, at, signal, "queued")];
    }
    default:
      return unreachable(content);
  }
}

function refusalOf(
  run: RunState,
  task: TaskState,
  { content, limits }: SignalCommand,
): Fault | undefined {
  const runId = run.id;
  if (isTerminalRun(run.status)) return fault("RUN_TERMINAL", { runId, status: run.status });
  if (isTerminalTask(task.status)) {
    return fault("TASK_TERMINAL", { runId, taskId: task.id, status: task.status });
  }
  if (task.group !== undefined) {
    return fault("ARGUMENT_INVALID", {
      field: "task_id",
      value: `"${task.id}"`,
      expected: `one of its instances, such as "${task.id}[0]"`,
    });
  }
  if (task.item === undefined && task.node.forEach && "replaceWith" in content) {
    return fault("ARGUMENT_INVALID", {
      field: "interrupt.replace_with",
      value: `an input of "${task.id}"`,
      expected: "none: a for_each task makes the inputs of its instances",
    });
  }
  const full = fullMailbox(run, task, limits);
  if (full !== undefined) return fault("SIGNAL_MAILBOX_FULL", { runId, taskId: task.id, ...full });
  if (content.kind !== "collect") return undefined;
  const unknown = content.tasks.find((id) => findTask(run, id) === undefined);
  if (unknown === undefined) return undefined;
  const nearest = nearestName(unknown, run.plan.indexOf.keys());
  return fault("TASK_NOT_FOUND", { runId, taskId: unknown, nearest });
}

/** Which mailbox takes no more, the task's or those of its run together, and its limit. */
function fullMailbox(
  run: RunState,
  task: TaskState,
  { taskSignals, runSignals }: SignalCommand["limits"],
): { readonly of: "task" | "run"; readonly limit: number } | undefined {
  if (unadmittedOf(task) >= taskSignals) return { of: "task", limit: taskSignals };
  if ((task.mailbox?.length ?? 0) >= SIGNALS_PER_TASK_MAX) {
    return { of: "task", limit: SIGNALS_PER_TASK_MAX };
  }
  const waiting = run.tasks.reduce((sum, each) => sum + unadmittedOf(each), 0);
  return waiting < runSignals ? undefined : { of: "run", limit: runSignals };
}

function unadmittedOf({ mailbox }: TaskState): number {
  return mailbox?.filter(isUnadmitted).length ?? 0;
}

function interruptEvents(
  task: TaskState,
  { at, signal }: SignalCommand,
  content: Extract<SignalCommand["content"], { kind: "interrupt" }>,
): Event[] {
  if (task.status === "RUNNING") {
    const { attempt } = task;
    return [
      { type: "task_stopping", at, task: task.id, attempt, signal, graceMs: content.graceMs },
      receiptEvent(task, at, signal, "delivered"),
    ];
  }
  const admitted = receiptEvent(task, at, signal, "admitted");
  if (content.replaceWith !== undefined) return [admitted];
  const { reason: message } = content;
  const held = task.lease === 0 ? {} : { stopGraceMs: content.graceMs };
  return [
    admitted,
    { type: "task_cancelled", at, task: task.id, reason: "INTERRUPTED", message, ...held },
  ];
}

/** Receipts for the interrupts that a running attempt was told of, once they have had their effect. */
export function admitInterrupts(task: TaskState, at: number): Event[] {
  return (task.mailbox ?? [])
    .filter((entry) => entry.content.kind === "interrupt" && isUnadmitted(entry))
    .map((entry) => receiptEvent(task, at, entry.signal, "admitted"));
}

function receiptEvent(
  task: TaskState,
  at: number,
  signal: string,
  receipt: Exclude<Receipt, "accepted">,
  reason = "",
): Event {
  const attempt = task.status === "RUNNING" ? task.attempt : 0;
  return { type: "signal_receipt", at, task: task.id, signal, receipt, attempt, reason };
}

/** The agent got a signal or looked at it; receipts only move forward. */
export function decideReceipt(
  task: TaskState,
  command: Extract<Command, { type: "receipt" }>,
): readonly Event[] {
  const entry = task.mailbox?.find((e) => e.signal === command.signal);
  const isCurrent = task.lease !== 0 && task.lease === command.lease;
  if (entry === undefined || !isCurrent || isTerminalTask(task.status)) return [];
  if (!isUnadmitted(entry) || entry.receipt === command.receipt) return [];
  return [receiptEvent(task, command.at, command.signal, command.receipt)];
}

/** Which of the tasks have ended. Tasks named by a definition but not instantiated count as missing. */
export function standingOf(
  run: RunState,
  tasks: readonly string[],
): { finished: string[]; missing: string[] } {
  const finished: string[] = [];
  const missing: string[] = [];
  for (const id of tasks) {
    const task = findTask(run, id);
    (task !== undefined && isTerminalTask(task.status) ? finished : missing).push(id);
  }
  return { finished, missing };
}

/** Whether `finished` of `asked` tasks satisfy the mode. */
export function isComplete(mode: CollectMode, asked: number, finished: number): boolean {
  switch (mode.kind) {
    case "all":
      return finished === asked;
    case "any":
      return finished > 0;
    case "quorum":
      return finished >= Math.min(mode.count, asked);
    default:
      return unreachable(mode);
  }
}

/** Collects of this run that are complete by now. */
export function completeCollects(run: RunState, at: number): Event[] {
  return run.agenda.collecting.flatMap(({ task: index, signal }) => {
    const task = run.tasks[index] as TaskState;
    const entry = task.mailbox?.find((e) => e.signal === signal);
    if (entry?.content.kind !== "collect" || isTerminalTask(task.status)) return [];
    const standing = standingOf(run, entry.content.tasks);
    return isComplete(entry.content.mode, entry.content.tasks.length, standing.finished.length)
      ? [{ type: "signal_collected" as const, at, task: task.id, signal, ...standing }]
      : [];
  });
}

/** The deadline of a collect: what is there goes out, naming the missing. */
export function decideCollectDeadline(
  run: RunState,
  task: TaskState,
  signal: string,
  at: number,
): readonly Event[] {
  const entry = task.mailbox?.find((e) => e.signal === signal);
  if (entry?.content.kind !== "collect" || entry.collected !== undefined) return [];
  return [
    {
      type: "signal_collected",
      at,
      task: task.id,
      signal,
      ...standingOf(run, entry.content.tasks),
    },
  ];
}

/** Receipts for the signals a finished task never admitted. */
export function expireSignals(task: TaskState, at: number): Event[] {
  return (task.mailbox ?? [])
    .filter(isUnadmitted)
    .map((entry: MailboxEntry) =>
      receiptEvent(
        task,
        at,
        entry.signal,
        "expired",
        "the task ended before it looked at the signal",
      ),
    );
}
