/**
 * What committed events say to the metrics: how tasks ended and why, and what is tried again. Events that a replay folds
 * again are not counted again. How long attempts take is the runtime's to tell.
 */
import type { Event } from "../core/run/message.ts";
import type { Metrics } from "../ports/telemetry.ts";

/** Counts one event. */
export function countEvent(metrics: Pick<Metrics, "taskEnded" | "retried">, event: Event): void {
  if (event.type === "task_completed") metrics.taskEnded("COMPLETED", "");
  else if (event.type === "task_failed") metrics.taskEnded("FAILED", event.reason);
  else if (event.type === "task_cancelled") metrics.taskEnded("CANCELLED", event.reason);
  else if (event.type === "task_skipped") metrics.taskEnded("SKIPPED", event.reason);
  else if (event.type === "task_retrying") metrics.retried(event.reason);
}
