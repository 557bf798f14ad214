/**
 * What the author of an agent sees: an object with a name and a `run` function, and the context that `run` is given.
 * The same for plugin modules and for functions of the embedded engine, so an agent can move between them unchanged.
 * Types only; the context itself is built by the adapters.
 */
import type { Json } from "../base/payload.ts";
import type { Millis } from "../base/time.ts";

/** A binary value as an agent receives or returns it. A bare `Uint8Array` is returned as `application/octet-stream`. */
export interface Binary {
  readonly mediaType: string;
  readonly bytes: Uint8Array;
}

/** A signal, taken from the mailbox with `ctx.signals()`. */
export type AgentSignal =
  | {
      readonly id: string;
      readonly kind: "steer";
      readonly text: string;
      readonly payload: unknown;
    }
  | {
      readonly id: string;
      readonly kind: "collect";
      /** Outputs of the finished tasks by task id. */
      readonly results: { readonly [taskId: string]: unknown };
      /** Tasks without a result when the collect ended. */
      readonly missing: readonly string[];
    }
  | { readonly id: string; readonly kind: "interrupt"; readonly reason: string };

/** Lines for the log of the attempt. */
export interface AgentLog {
  debug(message: string): void;
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

/** Something that was remembered. */
export interface AgentMemoryEntry {
  readonly id: string;
  /** `note`, or the word that its author chose. */
  readonly kind: string;
  readonly text: string;
  /** How well it was remembered when it was shown, in [0, 1]. */
  readonly strength: number;
}

export interface RecallOptions {
  /** Most entries, 1 to 1,000. Default 5. */
  readonly limit?: number;
  /** Metadata that entries must have. */
  readonly filter?: { readonly [key: string]: string };
}

export interface RememberOptions {
  /** Default `note`. */
  readonly kind?: string;
  readonly metadata?: { readonly [key: string]: string };
  /** How sure it is. Default `normal`. */
  readonly importance?: "important" | "normal" | "captured" | "noise";
}

/** The memory of the run's session; of the run alone when it has no session. */
export interface AgentMemory {
  /** What the definition of the task asked for (`memory.retrieve`). */
  readonly shown: readonly AgentMemoryEntry[];
  /**
   * Asks the memory. The answer is journaled: a later attempt that asks the same gets the same. Resolves to an empty list,
   * with a line in the log, when the memory cannot answer. What this attempt remembers is not found yet.
   */
  recall(text: string, options?: RecallOptions): Promise<readonly AgentMemoryEntry[]>;
  /**
   * Remembers a text if this attempt succeeds. At most 100 texts of 64 KiB, 1 MiB in all; throws a `RangeError` beyond that
   * and a `TypeError` for what is no text.
   */
  remember(text: string, options?: RememberOptions): void;
}

/** Everything an agent can know and say about its attempt. Every member may be destructured. */
export interface AgentContext {
  readonly runId: string;
  readonly taskId: string;
  /** 1 for the first. */
  readonly attempt: number;
  readonly workflow: string;
  readonly namespace: string;
  readonly sessionId: string | undefined;
  /** Equal for all attempts of one task: hand it to services that can tell a repeated request. */
  readonly idempotencyKey: string;
  readonly traceId: string;
  /** Input of the whole run. */
  readonly runInput: unknown;
  /** What an earlier attempt saved last. */
  readonly lastCheckpoint: Uint8Array | undefined;
  /** Aborted when the attempt is to stop: cancelled, interrupted or out of time. After the grace it is forced. */
  readonly signal: AbortSignal;
  readonly log: AgentLog;
  /** @param percent 0 to 100 */
  progress(percent: number, note?: string): void;
  /** Saves up to 2 MiB for the next attempt; the last one counts. Throws a `RangeError` when it is larger. */
  checkpoint(data: Uint8Array): void;
  /**
   * Adds text or bytes to what the attempt writes for whoever watches (`WatchOutput`): the latest 256 KiB
   * are kept while the daemon lives. Not the result, and never durable.
   */
  output(chunk: string | Uint8Array): void;
  /** A sign of life for tasks with a `heartbeat_timeout`; progress, checkpoint and log lines are ones too. */
  heartbeat(): void;
  readonly memory: AgentMemory;
  /** Takes the signals that arrived since the last call, oldest first; taking them admits them. */
  signals(): readonly AgentSignal[];
}

/**
 * An agent. `run` returns its output, anything that `JSON.stringify` can print, `undefined` (as null) or binary data. A
 * throw is a failed attempt and is tried again, unless the error has `retryable: false` or is named
 * `NonRetryableError`; a number `retryAfterMs` on it is the wait before the next attempt.
 */
export interface Agent<Input = never, Output = unknown> {
  readonly name: string;
  run(input: Input, ctx: AgentContext): Output | Promise<Output>;
  /** JSON Schema of the input, shown to people and tools; inputs are not checked against it. */
  readonly inputSchema?: Json;
  /** Slots an attempt takes in its lanes. Default 1. */
  readonly cost?: number;
  /** Longest attempt, where the task names none. */
  readonly timeoutMs?: Millis;
  readonly version?: string;
}
