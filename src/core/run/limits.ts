/**
 * Bounds of one run while it lives: how many tasks and how much history it may come to, and how many signals may wait in
 * it. The numbers here are the largest; a daemon may set lower ones. They reach `decide` and `advance` as data, so that
 * both stay pure.
 */
import { DEFINITION_LIMITS } from "../dag/definition.ts";

/** Bounds of one run. */
export interface RunLimits {
  /** Tasks, instances of `for_each` included. */
  readonly tasks: number;
  /** Events. */
  readonly historyEvents: number;
  /** Estimated bytes of all events. */
  readonly historyBytes: number;
  /** Signals of one task that its agent has not admitted. */
  readonly taskSignals: number;
  /** Signals of all tasks together that nobody has admitted. */
  readonly runSignals: number;
}

/** The largest bounds, and the defaults. */
export const RUN_LIMITS: RunLimits = {
  tasks: DEFINITION_LIMITS.tasks,
  historyEvents: 50_000,
  historyBytes: 50_000_000,
  taskSignals: 16,
  runSignals: 1_000,
};

/** How far a history has come. */
interface HistorySize {
  readonly sequence: number;
  readonly historyBytes: number;
}

/** The limit that a history exceeds, or undefined. */
export function historyExcess(
  { sequence, historyBytes }: HistorySize,
  limits: RunLimits,
): "historyEvents" | "historyBytes" | undefined {
  if (sequence > limits.historyEvents) return "historyEvents";
  return historyBytes > limits.historyBytes ? "historyBytes" : undefined;
}

/** Whether there is room for news: half of the history is kept for facts. */
export function hasRoomForNews(run: HistorySize, limits: RunLimits): boolean {
  return run.sequence * 2 < limits.historyEvents && run.historyBytes * 2 < limits.historyBytes;
}
