/**
 * What committed events say to the metrics: how tasks ended and why, and what is tried again. Events that a replay folds
 * again are not counted again. How long attempts take is the runtime's to tell.
 */
import type { Event, EventType } from "../core/run/message.ts";
import type { Metrics } from "../ports/telemetry.ts";

/** Events after which a task writes no more. */
export const TASK_ENDS: ReadonlySet<EventType> = new Set([
  "task_completed",
  "task_failed",
  "task_cancelled",
  "task_skipped",
]);

/** Counts one event. */
export function countEvent(metrics: Pick<Metrics, "taskEnded" | "retried">, event: Event): void {
  if (event.type === "task_completed") metrics.taskEnded("COMPLETED", "");
  else if (event.type === "task_failed") metrics.taskEnded("FAILED", event.reason);
  else if (event.type === "task_cancelled") metrics.taskEnded("CANCELLED", event.reason);
  else if (event.type === "task_skipped") metrics.taskEnded("SKIPPED", event.reason);
  else if (event.type === "task_retrying") metrics.retried(event.reason);
}
