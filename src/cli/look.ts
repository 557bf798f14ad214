/**
 * How states look and how the API's enums read: one table of symbols, tones and words that the live view, lists and
 * event lines share, so that a state is never called two things.
 */
import { Reason, RunState, TaskState } from "../../gen/goclaw/v1/run_pb.ts";
import type { Tone } from "./layout.ts";

/** How a task state looks. */
export interface Look {
  readonly symbol: string;
  readonly tone: Tone;
  readonly word: string;
  /** Who stays on a screen that is too small; low stays. */
  readonly rank: number;
}

const LOOKS: ReadonlyMap<TaskState, Look> = new Map<TaskState, Look>([
  [TaskState.FAILED, { symbol: "✖", tone: "bad", word: "failed", rank: 0 }],
  [TaskState.RUNNING, { symbol: "●", tone: "busy", word: "running", rank: 1 }],
  [TaskState.RETRYING, { symbol: "↻", tone: "warn", word: "retrying", rank: 1 }],
  [TaskState.WAITING, { symbol: "◐", tone: "busy", word: "waiting", rank: 1 }],
  [TaskState.SCHEDULED, { symbol: "◌", tone: "plain", word: "queued", rank: 2 }],
  [TaskState.PENDING, { symbol: "·", tone: "faint", word: "pending", rank: 3 }],
  [TaskState.CANCELLED, { symbol: "■", tone: "warn", word: "cancelled", rank: 4 }],
  [TaskState.COMPLETED, { symbol: "✔", tone: "good", word: "completed", rank: 5 }],
  [TaskState.SKIPPED, { symbol: "↷", tone: "faint", word: "skipped", rank: 5 }],
]);
const UNKNOWN: Look = { symbol: "?", tone: "plain", word: "unknown", rank: 2 };

const RUN_TONES: ReadonlyMap<RunState, Tone> = new Map<RunState, Tone>([
  [RunState.COMPLETED, "good"],
  [RunState.FAILED, "bad"],
  [RunState.CANCELLED, "warn"],
]);

/** All task states, the most noteworthy first. */
export const STATES: readonly TaskState[] = [...LOOKS.keys()];

/** How a task state looks. */
export function lookOf(state: TaskState): Look {
  return LOOKS.get(state) ?? UNKNOWN;
}

/** The tone of a run state. */
export function runTone(state: RunState): Tone {
  return RUN_TONES.get(state) ?? "busy";
}

/** The name of an enum value of the API, in lower case: `agent_error`. */
export function wordOf(names: object, value: number): string {
  const found = Object.entries(names).find(([, number]) => number === value);
  return found === undefined ? String(value) : found[0].toLowerCase();
}

/** `agent_error: the message`, or as much of it as there is. */
export function reasonText(of: { readonly reason: Reason; readonly message: string }): string {
  const reason = of.reason === Reason.UNSPECIFIED ? "" : wordOf(Reason, of.reason);
  return reason !== "" && of.message !== "" ? `${reason}: ${of.message}` : reason + of.message;
}
