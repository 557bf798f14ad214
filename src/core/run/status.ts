/**
 * The words of the life cycle: statuses, reasons and failure classes. They appear unchanged in the journal, on the
 * wire (as enum names), in metrics and in documentation, so they are only ever added to.
 */

export const TASK_STATUSES = [
  "PENDING",
  "SCHEDULED",
  "RUNNING",
  "WAITING",
  "RETRYING",
  "COMPLETED",
  "FAILED",
  "CANCELLED",
  "SKIPPED",
] as const;
export type TaskStatus = (typeof TASK_STATUSES)[number];

export const RUN_STATUSES = [
  "PENDING",
  "RUNNING",
  "WAITING",
  "COMPLETED",
  "FAILED",
  "CANCELLED",
  "COMPENSATING",
  "COMPENSATED",
  "COMPENSATION_FAILED",
] as const;
export type RunStatus = (typeof RUN_STATUSES)[number];

/** Why a task or run is as it is. */
export const REASONS = [
  "AGENT_ERROR",
  "AGENT_UNKNOWN",
  "CANCELLED_BY_USER",
  "CONDITION_FALSE",
  "DEADLINE",
  "DROPPED",
  "EXPRESSION_ERROR",
  "HEARTBEAT_LOST",
  "INTERRUPTED",
  "LIMIT_EXCEEDED",
  "NON_RETRYABLE",
  "RUN_FAILED",
  "TIMED_OUT",
  "UPSTREAM_FAILED",
  "WORKER_LOST",
] as const;
export type Reason = (typeof REASONS)[number];

/** How an agent classifies its own failure. */
export const FAILURE_CLASSES = [
  "retryable",
  "terminal",
  "throttled",
  "cancelled",
  "invalid",
] as const;
export type FailureClass = (typeof FAILURE_CLASSES)[number];

const TERMINAL_TASKS: ReadonlySet<TaskStatus> = new Set([
  "COMPLETED",
  "FAILED",
  "CANCELLED",
  "SKIPPED",
]);
const TERMINAL_RUNS: ReadonlySet<RunStatus> = new Set([
  "COMPLETED",
  "FAILED",
  "CANCELLED",
  "COMPENSATED",
  "COMPENSATION_FAILED",
]);

/** Whether a task in this status will never change again. */
export function isTerminalTask(status: TaskStatus): boolean {
  return TERMINAL_TASKS.has(status);
}

/** Whether a run in this status will never change again. */
export function isTerminalRun(status: RunStatus): boolean {
  return TERMINAL_RUNS.has(status);
}
