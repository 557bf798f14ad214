/**
 * How a run's history ends. Watchers stop there and memories of the run can go; nothing follows one of these events.
 */
import type { Event, EventType } from "../core/run/message.ts";

const LAST_EVENTS: ReadonlySet<EventType> = new Set([
  "run_completed",
  "run_failed",
  "run_cancelled",
]);

/** Whether this is the last event of its run. */
export function isLastEvent(event: Event): boolean {
  return LAST_EVENTS.has(event.type);
}
