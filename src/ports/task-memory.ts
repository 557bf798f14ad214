/**
 * The memory as the engine sees it: it answers questions of tasks and takes in what successful tasks leave behind. It is
 * an aid, not a truth of the engine: whatever it cannot do makes an answer poorer and never fails a task.
 */
import type { RunId } from "../base/ids.ts";
import type { Event } from "../core/run/message.ts";
import type { Recall, RecallWish } from "../core/run/recall.ts";

/** A question with what the run says about all of its questions. */
export interface TaskQuestion extends RecallWish {
  /** Namespace and session, as the memory names them. */
  readonly session: string;
  /** The session's latest entries to show besides, whatever the text. */
  readonly latest: number;
  /** Weaker entries are not shown. */
  readonly leastStrength: number;
}

export type CompletedTask = Extract<Event, { type: "task_completed" }>;

/**
 * Guarantees: an answer knows everything that was handed to `committed` before the question; what is handed over twice,
 * also by another process after a crash, takes effect once; nothing that was committed is lost.
 */
export interface TaskMemory {
  /** May reject and may take long; the caller has its own patience. */
  recall(question: TaskQuestion): Promise<Pick<Recall, "memories" | "note">>;
  /** A durable event that means something for the memory. Events of a run come in order. */
  committed(runId: RunId, sequence: number, event: CompletedTask): void;
}
