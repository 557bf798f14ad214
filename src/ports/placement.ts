/**
 * Who could run an attempt, asked before it is started: a task of an agent that workers serve starts only when one of
 * them has room, so that no lane slot is held for a task that nobody can run. Synchronous and cheap, because it is
 * asked for every start; agents of the daemon itself always have room.
 */
import type { TaskState } from "../core/run/state.ts";

/** A kind of room that was missing and has come back, for so many attempts. */
export interface Opening {
  readonly need: string;
  readonly room: number;
}

export interface Placement {
  /**
   * Takes room for an attempt. `undefined`: it may start, and the room stays taken until the attempt has ended or
   * {@link release} is called. Otherwise the name of what is missing: tasks that miss the same wait together.
   */
  reserve(task: TaskState): string | undefined;
  /** The task will not start after all. */
  release(task: TaskState): void;
  /** Instance of the worker whose room was taken; undefined for agents of the daemon. */
  workerOf(task: TaskState): string | undefined;
  /** What has come back since the last call; nothing most of the time. */
  openings(): readonly Opening[];
}
