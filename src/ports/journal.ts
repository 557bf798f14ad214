/**
 * The journal as the engine sees it: append a commit, read histories back. What it promises is what the whole engine
 * promises: an appended commit is atomic and durable, and reading returns exactly what was appended or a typed
 * `DATA_LOSS`. The single-node journal sits on an {@link OrderedStore}; a replicated one can take its place, which is
 * why commits carry partition and epoch.
 */
import type { RunId, TaskId } from "../base/ids.ts";
import type { Payload } from "../base/payload.ts";
import type { Instant } from "../base/time.ts";
import type { Idempotency, RunEvents } from "../core/run/message.ts";
import type { RunState } from "../core/run/state.ts";
import type { RunStatus } from "../core/run/status.ts";

/** What a list shows of a run without reading its history. */
export interface RunSummary {
  readonly runId: RunId;
  readonly namespace: string;
  readonly name: string;
  readonly status: RunStatus;
  readonly sessionId: string | undefined;
  readonly labels: { readonly [key: string]: string };
  readonly acceptedAt: Instant;
  /** 0 while the run is open. */
  readonly endedAt: Instant;
}

/** One atomic step of the engine: everything in it is durable together or not at all. */
export interface Commit {
  readonly runs: readonly RunEvents[];
  /** Definitions first used by these runs: content hash and canonical JSON. */
  readonly definitions: readonly StoredDefinition[];
  /** Index changes that go with the events. */
  readonly accepted: readonly AcceptedRun[];
  /** Runs whose last event is in this commit; they leave the open index and enter the list. */
  readonly ended: readonly RunSummary[];
}

export interface StoredDefinition {
  readonly hash: string;
  readonly json: string;
}

export interface AcceptedRun {
  readonly runId: RunId;
  readonly namespace: string;
  readonly idempotency: Idempotency | undefined;
}

/** A definition under its public name. */
export interface RegisteredDefinition extends StoredDefinition {
  readonly namespace: string;
  readonly name: string;
  readonly version: string;
  readonly registeredAt: Instant;
}

/** A run as found at start: its snapshot (if any) and the events after it. */
export interface RecoveredRun {
  readonly runId: RunId;
  /** Encoded state to start from; decode with the run's plan. */
  readonly snapshot: StoredSnapshot | undefined;
  readonly events: RunEvents;
}

export interface StoredSnapshot {
  readonly definition: string;
  readonly sequence: number;
  /** Rebuilds the state on a compiled plan; throws `DATA_LOSS` when the bytes disagree with it. */
  readonly restore: (plan: RunState["plan"]) => RunState;
}

/** An output that came when its lease was no longer held; it changes no state and may come after the run's end. */
export interface LateResult {
  readonly runId: RunId;
  readonly taskId: TaskId;
  /** Place of the task in its run. */
  readonly taskIndex: number;
  readonly lease: number;
  /** Instance of the worker that sent it. */
  readonly worker: string;
  readonly at: Instant;
  readonly output: Payload;
}

/** Position in the order of commits, for consumers of everything (the event bus). */
export interface CommitPage {
  readonly runs: readonly RunEvents[];
  /** Pass back to read on. */
  readonly cursor: bigint;
}

export interface Journal {
  /** Verifies the tail, claims a new epoch, and yields every open run. Call once, before anything else. */
  recover(onRun: (run: RecoveredRun) => void | Promise<void>): Promise<void>;
  /** Resolves when durable. Commits are durable in call order; after one failure all later ones reject. */
  append(commit: Commit): Promise<void>;
  /** Events of one run after a sequence, oldest first, in pages; ends at the last durable one. Throws `CURSOR_EXPIRED`. */
  history(runId: RunId, afterSequence: number): AsyncIterable<RunEvents>;
  /** A finished or open run's latest snapshot with the events after it, or undefined when the run is unknown. */
  load(runId: RunId): Promise<RecoveredRun | undefined>;
  definition(hash: string): Promise<string | undefined>;
  findIdempotent(
    namespace: string,
    key: string,
  ): Promise<{ runId: RunId; fingerprint: string } | undefined>;
  /** Summaries of ended runs, newest first, strictly older than `before` when given. */
  listEnded(options: { before?: RunId; limit: number }): Promise<readonly RunSummary[]>;
  /** Keeps a late result beside its run; one of the same lease takes its place. Resolves when durable. */
  storeLate(result: LateResult): Promise<void>;
  /** Late results of a run, in the order of its tasks and of their leases. */
  lateResults(runId: RunId): Promise<readonly LateResult[]>;
  registerDefinition(definition: RegisteredDefinition): Promise<void>;
  registeredDefinitions(): Promise<readonly RegisteredDefinition[]>;
  /** Saves a compacted state; events up to its sequence may then be trimmed. */
  snapshot(run: RunState): Promise<void>;
  /** Deletes the events a run's snapshot replaces; reading them then is `CURSOR_EXPIRED`. Returns whether it did. */
  trim(runId: RunId): Promise<boolean>;
  /** All commits after a cursor, for the bus. `undefined` starts at the oldest kept. */
  commitsAfter(cursor: bigint | undefined, limit: number): Promise<CommitPage | undefined>;
  /** The cursor of the latest durable commit. */
  head(): bigint;
  loadCursor(consumer: string): Promise<bigint | undefined>;
  saveCursor(consumer: string, cursor: bigint): Promise<void>;
  /** Deletes ended runs beyond the retention rules; returns how many. */
  retain(rules: RetentionRules, now: Instant): Promise<number>;
  close(): Promise<void>;
}

/** Ended runs are kept while all rules hold; absent means no limit. */
export interface RetentionRules {
  readonly maxAgeMs?: number;
  readonly maxCount?: number;
  readonly maxBytes?: number;
}
