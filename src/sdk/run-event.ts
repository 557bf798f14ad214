/**
 * Events of a run as plain objects with words instead of numbers. Both faces of the API make them from the message that
 * goes over the wire, so watching an embedded run and a daemon's run shows the same.
 */
import { timestampMs } from "@bufbuild/protobuf/wkt";
import {
  Reason,
  RunState,
  type TaskEvent,
  TaskEventType,
  TaskState,
} from "../../gen/goclaw/v1/run_pb.ts";
import type { Instant } from "../base/time.ts";
import { outputValue } from "./wire-value.ts";

/** The words of an enum. */
export type Word<Enum extends object> = Extract<keyof Enum, string>;

/** The word of a value: `AGENT_ERROR`. A value that only a newer daemon knows is `UNSPECIFIED`. */
export function wordOf<Enum extends object>(words: Enum, value: number): Word<Enum> {
  const found = Object.entries(words).find(([, number]) => number === value);
  return (found?.[0] ?? "UNSPECIFIED") as Word<Enum>;
}

/** As {@link wordOf}, and undefined for what is not specified. */
function knownWord<Enum extends object>(words: Enum, value: number): Word<Enum> | undefined {
  const word = wordOf(words, value);
  return word === "UNSPECIFIED" ? undefined : word;
}

/** One fact of a run. Sequences of a run start at 1 and have no gaps, except after an event of type `gap`. */
export interface RunEvent {
  readonly runId: string;
  readonly sequence: number;
  /** Such as `task_completed`; see docs/state-machine.md. */
  readonly type: Lowercase<Word<typeof TaskEventType>>;
  /** Milliseconds since 1970; absent for a gap. */
  readonly at: Instant | undefined;
  /** Absent for facts about the run itself. */
  readonly taskId: string | undefined;
  /** 1 for the first attempt; 0 where none is meant. */
  readonly attempt: number;
  /** State after the event, where it changes one. */
  readonly taskState: Word<typeof TaskState> | undefined;
  readonly runState: Word<typeof RunState> | undefined;
  readonly reason: Word<typeof Reason> | undefined;
  readonly message: string;
  readonly lane: string | undefined;
  /** Of a progress event, 0 to 100. */
  readonly percent: number;
  /** Output of the task or, with the last event, of the run. */
  readonly output: unknown;
  /** Instances of an expanded task. */
  readonly instances: number;
}

/** A wire event as a plain object. */
export function runEvent(event: TaskEvent): RunEvent {
  return {
    runId: event.runId,
    sequence: Number(event.sequence),
    type: wordOf(TaskEventType, event.type).toLowerCase() as RunEvent["type"],
    at: event.time === undefined ? undefined : timestampMs(event.time),
    taskId: event.taskId || undefined,
    attempt: event.attempt,
    taskState: knownWord(TaskState, event.taskState),
    runState: knownWord(RunState, event.runState),
    reason: knownWord(Reason, event.reason),
    message: event.message,
    lane: event.lane || undefined,
    percent: event.percent,
    output: outputValue(event.output, event.outputData),
    instances: event.instances,
  };
}

const TERMINAL: ReadonlySet<RunState> = new Set([
  RunState.COMPLETED,
  RunState.FAILED,
  RunState.CANCELLED,
  RunState.COMPENSATED,
  RunState.COMPENSATION_FAILED,
]);

/** Whether a run in this state is over. */
export function isOver(state: RunState): boolean {
  return TERMINAL.has(state);
}
