/**
 * What must be done about an event once it is durable: hand attempts to agents, stop them, deliver signals, set timers.
 * Pure: it names effects, the dispatcher carries them out. `timersOf` names the same timers for a recovered run, so
 * nothing about time is stored apart from the events themselves.
 */
import { present } from "../../base/assert.ts";
import type { Effect, Event } from "./message.ts";
import { findTask, type MailboxEntry, type RunState, type TaskState } from "./state.ts";
import { isTerminalTask } from "./status.ts";

const NOTHING: readonly Effect[] = [];

/** Effects of one event, given the run after it. */
export function react(run: RunState, event: Event): readonly Effect[] {
  switch (event.type) {
    case "run_accepted":
      return runDeadline(run);
    case "run_completed":
    case "run_failed":
    case "run_cancelled":
      return [{ type: "disarm" }];
    case "task_scheduled":
      return taskDeadline(find(run, event.task));
    case "task_started": {
      const task = find(run, event.task);
      return [{ type: "dispatch", task: event.task, lease: task.fence, mail: mailOf(task) }];
    }
    case "task_retrying": {
      const due: Effect = { type: "arm", timer: "retry_due", task: event.task, dueAt: event.dueAt };
      return event.stopGraceMs === undefined
        ? [due]
        : [...stop(run, event, event.stopGraceMs), due];
    }
    case "task_failed":
    case "task_cancelled":
      return event.stopGraceMs === undefined
        ? [{ type: "disarm", task: event.task }]
        : [{ type: "disarm", task: event.task }, ...stop(run, event, event.stopGraceMs)];
    case "task_returned":
      return taskDeadline(find(run, event.task));
    case "task_completed":
    case "task_skipped":
      return [{ type: "disarm", task: event.task }];
    case "task_stopping":
      return [
        {
          type: "stop",
          task: event.task,
          lease: find(run, event.task).lease,
          reason: "INTERRUPTED",
          graceMs: event.graceMs,
        },
      ];
    case "signal_accepted":
      return event.content.kind === "steer"
        ? deliver(run, event.task, event.signal)
        : event.content.kind === "collect"
          ? collectDeadline(event.task, event.signal, event.at, event.content.deadlineMs)
          : NOTHING;
    case "signal_collected":
      return deliver(run, event.task, event.signal);
    case "run_started":
    case "run_ending":
    case "task_progress":
    case "task_deeds":
    case "task_recalled":
    case "task_checkpointed":
    case "task_expanded":
    case "task_waiting":
    case "task_resumed":
    case "lease_ended":
    case "signal_receipt":
      return NOTHING;
  }
}

/** Timers of a run that was just recovered. */
export function timersOf(run: RunState): readonly Effect[] {
  const effects: Effect[] = [...runDeadline(run)];
  for (const task of run.tasks) {
    if (isTerminalTask(task.status)) continue;
    // A group has no deadline of its own: its instances have.
    if (task.readyAt > 0 && task.group === undefined) effects.push(...taskDeadline(task));
    if (task.status === "RETRYING") {
      effects.push({ type: "arm", timer: "retry_due", task: task.id, dueAt: task.dueAt });
    }
    for (const entry of task.mailbox ?? []) {
      if (entry.content.kind !== "collect" || entry.collected !== undefined) continue;
      const { deadlineMs } = entry.content;
      effects.push(...collectDeadline(task.id, entry.signal, entry.acceptedAt, deadlineMs));
    }
  }
  return effects;
}

function find(run: RunState, id: string): TaskState {
  return present(findTask(run, id), `task ${id}`);
}

function runDeadline(run: RunState): readonly Effect[] {
  const { deadlineMs } = run.request;
  if (deadlineMs === undefined) return NOTHING;
  return [{ type: "arm", timer: "run_deadline", dueAt: run.acceptedAt + deadlineMs }];
}

/** Counts from the moment the dependencies were resolved. */
export function taskDeadline(task: TaskState): readonly Effect[] {
  const { deadlineMs } = task.node.task;
  if (deadlineMs === undefined) return NOTHING;
  return [{ type: "arm", timer: "task_deadline", task: task.id, dueAt: task.readyAt + deadlineMs }];
}

function collectDeadline(
  task: string,
  signal: string,
  acceptedAt: number,
  deadlineMs: number | undefined,
): readonly Effect[] {
  if (deadlineMs === undefined) return NOTHING;
  return [{ type: "arm", timer: "collect_deadline", task, signal, dueAt: acceptedAt + deadlineMs }];
}

const NO_MAIL: readonly string[] = [];

/** Everything not expired, in order; interrupts are not mail, collects only once they are complete. */
function mailOf({ mailbox }: TaskState): readonly string[] {
  return mailbox === undefined ? NO_MAIL : mailbox.filter(isMail).map(({ signal }) => signal);
}

function isMail({ content, collected, receipt }: MailboxEntry): boolean {
  if (receipt === "expired" || receipt === "refused") return false;
  return content.kind === "steer" || (content.kind === "collect" && collected !== undefined);
}

function stop(
  run: RunState,
  event: Extract<Event, { type: "task_retrying" | "task_failed" | "task_cancelled" }>,
  graceMs: number,
): readonly Effect[] {
  const { lease } = find(run, event.task);
  return [{ type: "stop", task: event.task, lease, reason: event.reason, graceMs }];
}

function deliver(run: RunState, id: string, signal: string): readonly Effect[] {
  const task = find(run, id);
  return task.status === "RUNNING"
    ? [{ type: "deliver", task: id, lease: task.lease, signal }]
    : NOTHING;
}
