/**
 * A workflow definition as the engine understands it: durations in milliseconds, enums as words, every default
 * filled in. Files, RPC messages and the typed builder all arrive here through one validator; the journal stores the
 * canonical JSON of this shape under its content hash. It says nothing about a single run: input, session, labels
 * and the like are {@link RunRequest}.
 */
import type { Json, Payload } from "../../base/payload.ts";
import type { Millis } from "../../base/time.ts";

/** When and how often a failed attempt is tried again. */
export interface RetryPolicy {
  /** Attempts in all, the first included; 1 means no retry. Default 4. */
  readonly maxAttempts: number;
  /** Wait after the first failed attempt, doubled each time. Default 200 ms. */
  readonly backoffMs: Millis;
  /** Longest wait. Default 30 s. */
  readonly maxBackoffMs: Millis;
  /** Share of the wait that a hash spreads, 0…1. Default 0.2. */
  readonly jitter: number;
}

/** What a task's failure means for its run. */
export type OnError =
  | { readonly kind: "fail" }
  | { readonly kind: "continue" }
  | { readonly kind: "fallback"; readonly taskId: string };

/** What an agent is to undo, should the run be compensated (checked now, used by sagas later). */
export interface Compensation {
  readonly agent: string;
  readonly input?: Json;
}

/** What a task is shown of the memory of its session, and what is remembered of it when it has succeeded. */
export interface TaskMemory {
  readonly retrieve?: {
    readonly vectorQuery: string;
    readonly topK: number;
    readonly filter?: { readonly [key: string]: string };
  };
  readonly memorize?: { readonly content: string; readonly kind: string };
}

/** One node of the DAG. */
export interface TaskDefinition {
  readonly id: string;
  readonly agent: string;
  readonly deps: readonly string[];
  /** Name of a lane; `default` when the definition is silent. */
  readonly lane: string;
  /** Replaces the natural input; strings may hold `{{ templates }}`. */
  readonly input?: Json;
  /** CEL condition; false skips the task. */
  readonly when?: string;
  /** CEL expression yielding a list; one instance of the task per item. */
  readonly forEach?: string;
  /** Longest attempt. Absent: no limit. */
  readonly timeoutMs?: Millis;
  /** Longest time from ready to done over all attempts. */
  readonly deadlineMs?: Millis;
  /** An attempt silent for longer than this is lost. */
  readonly heartbeatTimeoutMs?: Millis;
  readonly retry: RetryPolicy;
  /** Higher goes first, -100…100. */
  readonly priority: number;
  /** Slots it takes in its lanes, 1…1000. */
  readonly cost: number;
  readonly onError: OnError;
  readonly compensate?: Compensation;
  readonly memory?: TaskMemory;
  readonly labels: { readonly [key: string]: string };
}

/** Run-level memory policy of a definition. */
export interface MemoryPolicy {
  readonly retrieveLastN?: number;
  readonly forgetThreshold?: number;
}

/** A complete, valid definition. */
export interface Definition {
  readonly name: string;
  /** Free text such as `1.4.0`; empty when the author gave none. */
  readonly version: string;
  readonly tasks: readonly TaskDefinition[];
  /** Mapping with templates that becomes the run's output; absent: the sink tasks' outputs by id. */
  readonly output?: Json;
  /** After a failure no new tasks start and running ones are cancelled (true, default) or finish (false). */
  readonly failFast: boolean;
  readonly memory?: MemoryPolicy;
}

/** What one run adds to its definition. */
export interface RunRequest {
  readonly input: Payload;
  readonly namespace: string;
  readonly sessionId?: string;
  /** Added to each task's own priority. */
  readonly priority: number;
  /** Longest time from acceptance to the end. */
  readonly deadlineMs?: Millis;
  readonly labels: { readonly [key: string]: string };
  /** W3C trace id, 32 hex digits, minted at the edge when the submitter sent none. */
  readonly traceId: string;
}

/** Defaults of the schema, in one place for the validator, the builder and the documentation. */
export const DEFAULTS = {
  lane: "default",
  namespace: "default",
  retry: { maxAttempts: 4, backoffMs: 200, maxBackoffMs: 30_000, jitter: 0.2 },
  failFast: true,
  topK: 5,
  memoryKind: "note",
} as const;

/** Limits of the schema; each refusal names its field and value. */
export const DEFINITION_LIMITS = {
  fileBytes: 1024 * 1024,
  tasks: 10_000,
  edges: 100_000,
  deps: 1_000,
  jsonDepth: 64,
  labels: 32,
  labelBytes: 256,
  attempts: 100,
  /** Distinct CEL text of a definition: parsing takes a few microseconds per character. */
  expressionChars: 64 * 1024,
  /** Problems reported at once; the rest is a number. */
  violations: 1_000,
  templateOutputBytes: 2 * 1024 * 1024,
} as const;

/** Expected duration of an agent's attempt, observed elsewhere; used as a weight for the hot path. */
export type ExpectedDuration = (agent: string) => Millis | undefined;
