/**
 * Where agents run. A transport carries attempts to plugin threads, command processes, in-process functions or remote
 * workers and reports what became of them; one state machine in the runtime stands above all of them, so nothing but
 * the carrying differs. Plain data only: every value here can cross a thread or a wire.
 */
import type { Fault } from "../base/fault.ts";
import type { RunId, TaskId } from "../base/ids.ts";
import type { Json, Payload } from "../base/payload.ts";
import type { Instant, Millis } from "../base/time.ts";
import type { Deed, Outcome, SignalContent } from "../core/run/message.ts";
import type { MemoryWrite, Recall, RecallWish, ShownMemory } from "../core/run/recall.ts";
import type { EndedAttempt } from "../core/run/state.ts";
import type { Reason } from "../core/run/status.ts";

/** Names one attempt; `key` is unique per attempt in this process and cheap to map by. */
export interface AttemptRef {
  readonly key: string;
  readonly runId: RunId;
  readonly taskId: TaskId;
  readonly attempt: number;
  /** Number of its lease: grows with every start of the task, also when the attempt's number does not. */
  readonly lease: number;
}

/** A signal as an agent sees it. A collect carries its results. */
export interface DeliveredSignal {
  readonly signal: string;
  readonly content: SignalContent;
  /** For a collect: outputs of the finished tasks (JSON object by task id) and the ids still missing. */
  readonly collected?: { readonly results: Payload; readonly missing: readonly TaskId[] };
}

/** Everything an agent is told about its attempt. */
export interface Assignment extends AttemptRef {
  readonly agent: string;
  readonly workflow: string;
  readonly namespace: string;
  readonly sessionId: string | undefined;
  readonly input: Payload;
  readonly runInput: Payload;
  /** Equal across attempts of one task. */
  readonly idempotencyKey: string;
  /** Instance of the worker that is to run it; absent for agents of the daemon. */
  readonly worker?: string;
  /** How the attempts before this one ended, oldest first; the latest ones. */
  readonly earlier?: readonly EndedAttempt[];
  /** What earlier attempts did that must not be done twice. */
  readonly deeds?: readonly Deed[];
  /** What the definition wants the attempt to be shown of the memory; absent when it wants nothing. */
  readonly memories?: readonly ShownMemory[];
  readonly traceId: string;
  /** When the attempt is timed out by the engine; absent without limit. */
  readonly deadlineAt: Instant | undefined;
  readonly heartbeatTimeoutMs: Millis | undefined;
  /** Saved by an earlier attempt. */
  readonly lastCheckpoint: Uint8Array | undefined;
  /** Signals admitted by earlier attempts, in their order, then undelivered ones. */
  readonly signals: readonly DeliveredSignal[];
}

/** How an attempt ended; the same as the core's `Outcome`, for those who may import only ports. */
export type AttemptOutcome = Outcome;

/** What an attempt asks of the memory, and what it wants remembered, for those who may import only ports. */
export type AttemptQuestion = RecallWish;
export type AttemptMemory = MemoryWrite;

/** What the memory answers to an attempt. */
export type RecallAnswer = Pick<Recall, "memories" | "note">;

/** What an attempt says while it runs. Calls for an attempt that is over are ignored and counted. */
export interface AttemptListener {
  progress(key: string, percent: number, note: string): void;
  checkpoint(key: string, data: Uint8Array): void;
  /** Any sign of life; progress, checkpoint and log count as well. */
  beat(key: string): void;
  log(key: string, level: "debug" | "info" | "warn" | "error", message: string): void;
  receipt(key: string, signal: string, receipt: "delivered" | "admitted"): void;
  /** A piece of what the attempt writes; `offset` is where it stands in all of it, by default at the end. Ephemeral. */
  output(key: string, data: Uint8Array, offset?: number): void;
  /** A question to the memory. Calls back once with a durable answer, or never when the attempt is over before. */
  recall(key: string, wish: AttemptQuestion, answer: (recall: RecallAnswer) => void): void;
  /**
   * The end. The first call per attempt wins. `settled` is called once its consequences are durable; `isCommitted` is
   * false when the attempt had been given up before.
   */
  finish(key: string, outcome: AttemptOutcome, settled?: (isCommitted: boolean) => void): void;
}

/** An agent that can be asked to run. */
export interface AgentInfo {
  readonly name: string;
  readonly version: string;
  readonly transport: string;
  /** Where it was loaded from, for people. */
  readonly source: string;
  readonly inputSchema?: Json;
  readonly cost?: number;
  readonly timeoutMs?: Millis;
}

/** Why and how an attempt is to stop. */
export interface StopRequest {
  readonly reason: Reason;
  /** After this long the transport forces the end (kills the process or thread, revokes the lease). */
  readonly graceMs: Millis;
}

/**
 * Guarantees every transport gives:
 * - for each `start`, exactly one `finish`, whatever the agent does (throws, exits, loops, exhausts memory);
 * - never a call into the listener from inside `start`, `signal` or `stop` (always later);
 * - after `stop`, `finish` comes within `graceMs` plus a second; of several stops the earliest end counts; an agent that
 *   still returns a value in time has succeeded;
 * - calls for an attempt that is over, or never was, do nothing;
 * - `close` ends every attempt (as lost: nobody asked it to stop), resolves when none is left, may be called twice and
 *   before `open`; `agents` changes are announced to `onChange`.
 */
export interface AgentTransport {
  readonly kind: string;
  open(listener: AttemptListener, onChange: () => void): Promise<void>;
  agents(): readonly AgentInfo[];
  /** Why agents that should be there are not; empty or absent when nothing is wrong. */
  problems?(): readonly Fault[];
  start(assignment: Assignment): void;
  signal(key: string, signal: DeliveredSignal): void;
  stop(key: string, request: StopRequest): void;
  close(): Promise<void>;
}
