/**
 * Memory as tasks know it, in plain data: what a task is shown, what it wants remembered, and what its success means for
 * the memory. All of it is journaled, so that a later attempt sees what the first one saw and so that nothing of a failed
 * attempt is ever remembered. Nothing here knows how memories are found or kept.
 */
import type { MemoryId } from "../memory/entry.ts";
import type { Importance } from "../memory/review.ts";

/** An entry as a task is shown it. */
export interface ShownMemory {
  readonly id: MemoryId;
  readonly kind: string;
  readonly text: string;
  /** At the time it was shown, in [0, 1]. */
  readonly strength: number;
}

/** A question of a task and its answer. */
export interface Recall {
  /** What was asked; {@link TASK_QUESTION} for what the definition asks. Equal questions of a task have one answer. */
  readonly question: string;
  readonly memories: readonly ShownMemory[];
  /** Why the answer is poorer than it should be; empty when it is not. */
  readonly note: string;
}

/** The question that the definition of a task asks before each attempt. */
export const TASK_QUESTION = "";

/** What may be asked of the memory of a run's session. */
export interface RecallWish {
  readonly text: string;
  /** Most entries found by the text. */
  readonly limit: number;
  /** Metadata that entries must have. */
  readonly filter?: { readonly [key: string]: string };
}

/** Something to remember if the attempt succeeds. */
export interface MemoryWrite {
  readonly content: string;
  readonly kind: string;
  readonly metadata: { readonly [key: string]: string };
  readonly importance: Importance;
}

/** What the success of a task means for the memory. */
export interface MemoryOutcome {
  /** Namespace and session, as the memory names them. */
  readonly session: string;
  readonly agent: string;
  /** Strength below which the new entries fall dormant, where the run says. */
  readonly forgetThreshold?: number;
  /** What the task was shown. */
  readonly used: readonly MemoryId[];
  readonly writes: readonly MemoryWrite[];
  /** What could not be remembered, for people. */
  readonly note: string;
}

/** Shared by all tasks that asked nothing. */
export const NO_RECALLS: readonly Recall[] = [];
