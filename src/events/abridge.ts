/**
 * Events cut down to a size every receiver takes. Nearly all events are short; the few that carry a user's value or
 * text of unbounded length keep what happened and lose the length. Who needs the rest asks the engine for the run.
 */
import { payloadSize } from "../base/payload.ts";
import type { Event } from "../core/run/message.ts";

/** Characters kept of a text for people. */
const TEXT_MAX_CHARS = 1_000;

/** The event with texts cut short, lists of tasks emptied, and an output replaced by `{"omitted_bytes": n}`. */
export function abridged(event: Event): Event {
  if (event.type === "task_completed" && event.output !== undefined) {
    return {
      ...event,
      output: { json: JSON.stringify({ omitted_bytes: payloadSize(event.output) }) },
    };
  }
  if (event.type === "signal_collected") return { ...event, finished: [], missing: [] };
  if ("message" in event) return { ...event, message: event.message.slice(0, TEXT_MAX_CHARS) };
  if ("note" in event) return { ...event, note: event.note.slice(0, TEXT_MAX_CHARS) };
  return event;
}
