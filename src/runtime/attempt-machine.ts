/**
 * The life of one attempt outside the journal, the same for threads, processes, functions and remote workers. It is a
 * table so that a reader sees every arrow at once; what is not in it is refused by `nextPhase`. The journaled states of
 * a task are another machine (`core/run/task-machine.ts`): this one only knows whether somebody still runs.
 */

/**
 * - PREPARED: known here, being handed over; whatever its transport says waits until the hand-over returned.
 * - RUNNING: its transport has it.
 * - STOPPING: told to stop, the end is due within the grace.
 * - DONE: the end was passed on; everything later is ignored.
 */
export type AttemptPhase = "PREPARED" | "RUNNING" | "STOPPING" | "DONE";

export type AttemptInput = "handed" | "stop" | "finish";

/** Every legal arrow. A second `stop` may shorten the grace. */
export const ATTEMPT_TABLE: {
  readonly [P in AttemptPhase]: { readonly [I in AttemptInput]?: AttemptPhase };
} = {
  PREPARED: { handed: "RUNNING", stop: "STOPPING", finish: "DONE" },
  RUNNING: { stop: "STOPPING", finish: "DONE" },
  STOPPING: { stop: "STOPPING", finish: "DONE" },
  DONE: {},
};

/** The phase after `input`, or undefined when the table has no such arrow. */
export function nextPhase(phase: AttemptPhase, input: AttemptInput): AttemptPhase | undefined {
  return ATTEMPT_TABLE[phase][input];
}
