/**
 * What the edges may ask of the engine. The RPC services, the command line's embedded mode and the typed builder all
 * speak to this interface, so none of them can reach the writer loop, the lanes or the journal. Every promise resolves
 * only after what it reports is durable, and rejects with a `FaultError`.
 */
import type { RunId, TaskId } from "../base/ids.ts";
import type { Payload } from "../base/payload.ts";
import type { Instant, Millis } from "../base/time.ts";
import type { Definition, RunRequest } from "../core/dag/definition.ts";
import type { Plan } from "../core/dag/plan.ts";
import type { LaneStatus } from "../core/lane/lane.ts";
import type { CollectMode, Event, Receipt, SignalContent } from "../core/run/message.ts";
import type { RunState, TaskState } from "../core/run/state.ts";
import type { Reason, RunStatus } from "../core/run/status.ts";
import type { AgentInfo } from "../ports/agent.ts";
import type { LateResult, RegisteredDefinition, RunSummary } from "../ports/journal.ts";
import type { OutputChunk } from "../runtime/output-rings.ts";

/** A run to start: an inline definition, or the name (optionally `name@version`) of a registered one. */
export interface StartRun {
  readonly definition: Definition | string;
  readonly request: Omit<RunRequest, "traceId"> & { readonly traceId?: string };
  readonly idempotencyKey?: string;
}

export interface StartedRun {
  readonly runId: RunId;
  /** Sequence of the first event a watcher has not seen: pass to `watch`. */
  readonly sequence: number;
  /** True when an equal idempotency key had started it before. */
  readonly existing: boolean;
}

/** How a run ended. */
export interface EndedRun {
  readonly runId: RunId;
  readonly status: RunStatus;
  readonly reason: Reason | undefined;
  readonly message: string;
  /** Of a completed run. */
  readonly output: Payload | undefined;
}

/** One event of a run with its place and, for the wire, the state it led to. */
export interface WatchedEvent {
  readonly kind: "event";
  readonly runId: RunId;
  readonly sequence: number;
  readonly event: Event;
  /** Output of the run, set with the terminal event of a completed run. */
  readonly runOutput?: Payload;
}

/** The cursor is older than what is kept: here is the run as it is, watch on from `sequence`. */
export interface WatchGap {
  readonly kind: "gap";
  readonly runId: RunId;
  readonly sequence: number;
  readonly run: RunState;
}

export type WatchItem = WatchedEvent | WatchGap;

export interface RunQuery {
  readonly namespace?: string;
  readonly statuses?: readonly RunStatus[];
  readonly name?: string;
  readonly sessionId?: string;
  readonly labels?: { readonly [key: string]: string };
  readonly acceptedAfter?: Instant;
  readonly acceptedBefore?: Instant;
  readonly pageSize: number;
  /** Opaque, from the previous page. */
  readonly pageToken?: string;
}

export interface RunPage {
  readonly runs: readonly RunSummary[];
  /** Empty at the end. */
  readonly nextPageToken: string;
}

export interface SendSignal {
  /** A task of a run, or a session's running tasks. */
  readonly target:
    | { readonly runId: RunId; readonly taskId: TaskId }
    | { readonly sessionId: string; readonly namespace: string };
  /** Client id; equal ids are one signal. Minted when absent. */
  readonly signalId?: string;
  readonly content: SignalContent;
}

export interface SignalAnswer {
  readonly signalId: string;
  readonly runId: RunId;
  readonly taskId: TaskId;
  readonly receipt: Receipt;
}

export interface CollectRequest {
  readonly runId: RunId;
  readonly tasks: readonly TaskId[];
  readonly mode: CollectMode;
  readonly deadlineMs?: Millis;
}

export interface CollectAnswer {
  /** Tasks that reached a terminal state, in the order asked. */
  readonly finished: readonly TaskState[];
  readonly missing: readonly TaskId[];
  readonly complete: boolean;
}

export interface LaneChange {
  readonly paused?: boolean;
  readonly concurrency?: number;
  readonly capacity?: number;
}

/** The engine. */
export interface EngineApi {
  /**
   * Rejects with a definition's violations, `IDEMPOTENCY_CONFLICT`, `ENGINE_DRAINING` or `ENGINE_OVERLOADED`.
   * `onEnd` is called once, after the run's last event is durable (at once for an existing run that has ended).
   */
  startRun(request: StartRun, onEnd?: (end: EndedRun) => void): Promise<StartedRun>;
  /** Rejects with `RUN_NOT_FOUND`, `RUN_TERMINAL`. Resolves when the cancellation is durable, not when it is done. */
  cancelRun(runId: RunId, options: { reason: string; graceMs?: Millis }): Promise<void>;
  signal(request: SendSignal): Promise<readonly SignalAnswer[]>;
  /** Waits for results; already finished tasks count at once. */
  collect(request: CollectRequest, abort?: AbortSignal): Promise<CollectAnswer>;
  /** A durable copy of the state as of some moment after the call. */
  getRun(runId: RunId): Promise<RunState>;
  getTask(runId: RunId, taskId: TaskId): Promise<TaskState>;
  listRuns(query: RunQuery): Promise<RunPage>;
  /**
   * Replays events after a sequence, then follows; ends after the terminal event or on abort. A reader that falls
   * behind its buffer is cut off with `WATCHER_SLOW` and may watch again from the last sequence it saw.
   */
  watch(runId: RunId, afterSequence: number, abort?: AbortSignal): AsyncIterable<WatchItem>;
  /** Validates names against loaded agents and known lanes and compiles, without running. */
  plan(definition: Definition): Plan;
  registerDefinition(namespace: string, definition: Definition): Promise<RegisteredDefinition>;
  definitions(namespace?: string): Promise<readonly RegisteredDefinition[]>;
  /** By content hash, name (newest version) or `name@version`. */
  definition(reference: string, namespace?: string): Promise<Definition>;
  lanes(): readonly LaneStatus[];
  changeLane(name: string, change: LaneChange): LaneStatus;
  agents(): readonly AgentInfo[];
  /** Why no agent could run a queued task now, in one sentence; undefined when one could. */
  explain(task: TaskState): string | undefined;
  /** Results of a run that came when their leases were gone. */
  lateResults(runId: RunId): Promise<readonly LateResult[]>;
  /** What a task writes: what is kept, then what follows, until the task ends. */
  watchOutput(runId: RunId, taskId: TaskId, abort?: AbortSignal): AsyncIterable<OutputChunk>;
  /** Observed median attempt duration of an agent, for the hot path. */
  expectedMs(agent: string): Millis | undefined;
  /** Runs that have not ended. */
  openRuns(): number;
  readiness(): { readonly ready: boolean; readonly reason: string };
  /** Takes no new work, waits for running attempts up to the timeout, leaves the rest resumable. */
  drain(timeoutMs: Millis): Promise<void>;
}
