/**
 * The life of a task as one table: what may follow what. Absent means refused; nothing else in the program has an
 * opinion about it. `evolve` reads the table for every event that changes a status, docs/state-machine.md is printed
 * from it, and a test takes every arrow and is refused every absent one.
 */
import type { EventType } from "./message.ts";
import type { TaskStatus } from "./status.ts";

/** What can happen to a task. */
export type TaskMove =
  | "schedule"
  | "start"
  | "return"
  | "complete"
  | "retry"
  | "fail"
  | "cancel"
  | "skip"
  | "expand"
  | "suspend"
  | "resume";

/** The table. */
export const TASK_TABLE: Readonly<
  Record<TaskStatus, Partial<Readonly<Record<TaskMove, TaskStatus>>>>
> = {
  PENDING: {
    schedule: "SCHEDULED",
    expand: "WAITING",
    fail: "FAILED",
    cancel: "CANCELLED",
    skip: "SKIPPED",
  },
  SCHEDULED: { start: "RUNNING", fail: "FAILED", cancel: "CANCELLED", skip: "SKIPPED" },
  RUNNING: {
    return: "SCHEDULED",
    complete: "COMPLETED",
    retry: "RETRYING",
    fail: "FAILED",
    cancel: "CANCELLED",
    suspend: "WAITING",
  },
  WAITING: { resume: "RUNNING", complete: "COMPLETED", fail: "FAILED", cancel: "CANCELLED" },
  RETRYING: { schedule: "SCHEDULED", fail: "FAILED", cancel: "CANCELLED" },
  COMPLETED: {},
  FAILED: {},
  CANCELLED: {},
  SKIPPED: {},
};

/** Which move an event makes; events that change no status are absent. */
export const MOVE_OF_EVENT: Partial<Readonly<Record<EventType, TaskMove>>> = {
  task_scheduled: "schedule",
  task_started: "start",
  task_returned: "return",
  task_completed: "complete",
  task_retrying: "retry",
  task_failed: "fail",
  task_cancelled: "cancel",
  task_skipped: "skip",
  task_expanded: "expand",
  task_waiting: "suspend",
  task_resumed: "resume",
};

/** The status after a move, or undefined when the table refuses it. */
export function nextStatus(from: TaskStatus, move: TaskMove): TaskStatus | undefined {
  return TASK_TABLE[from][move];
}

/** Every arrow of the table, in its order. */
export function transitions(): { from: TaskStatus; move: TaskMove; to: TaskStatus }[] {
  return Object.entries(TASK_TABLE).flatMap(([from, moves]) =>
    Object.entries(moves).map(([move, to]) => ({
      from: from as TaskStatus,
      move: move as TaskMove,
      to,
    })),
  );
}

/** The table as a mermaid state diagram. */
export function stateDiagram(): string {
  const arrows = transitions().map(({ from, move, to }) => `  ${from} --> ${to}: ${move}`);
  const ends = Object.entries(TASK_TABLE)
    .filter(([, moves]) => Object.keys(moves).length === 0)
    .map(([status]) => `  ${status} --> [*]`);
  return ["stateDiagram-v2", "  [*] --> PENDING", ...arrows, ...ends].join("\n");
}
