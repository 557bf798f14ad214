/**
 * One run in the hands of a program: wait for it, watch it, stop it, talk to its tasks. The same for a run in this
 * process and one of a daemon; what differs is behind `RunAccess`. A handle holds nothing that needs closing, and
 * dropping it does not stop the run.
 */
import { create } from "@bufbuild/protobuf";
import {
  CollectMode,
  type SignalRequest,
  SignalRequestSchema,
} from "../../gen/goclaw/v1/engine_pb.ts";
import type { TaskEvent } from "../../gen/goclaw/v1/run_pb.ts";
import type { Json } from "../base/payload.ts";
import type { Millis } from "../base/time.ts";
import { publicError, RunFailedError, translated } from "./errors.ts";
import { type RunEvent, runEvent } from "./run-event.ts";
import { jsonValue } from "./wire-value.ts";

/** How a run ended. */
export interface RunEnd {
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly taskId: string | undefined;
  readonly output: unknown;
}

/** What an engine or a daemon can do with a run. Rejects with faults or RPC errors. */
export interface RunAccess {
  end(runId: string): Promise<RunEnd>;
  /** Events after a sequence to the end of the run or until `abort`. */
  watch(runId: string, afterSequence: number, abort?: AbortSignal): AsyncIterable<TaskEvent>;
  cancel(
    runId: string,
    options: { readonly reason: string; readonly graceMs?: Millis },
  ): Promise<void>;
  /** Resolves with where the signal stands. */
  signal(request: SignalRequest): Promise<SignalStanding>;
}

/** Where a signal stands once it is durable. */
export type SignalStanding =
  | "accepted"
  | "queued"
  | "delivered"
  | "admitted"
  | "expired"
  | "refused";

/** A signal to a task. */
export type TaskSignal =
  /** New guidance, seen when the agent next looks at its signals. */
  | { readonly steer: Json; readonly text?: string }
  /** Asks the attempt to stop, with the reason; after the grace it is forced. */
  | { readonly interrupt: string; readonly graceMs?: Millis; readonly replaceWith?: Json }
  /** Delivers the results of these tasks to the addressed one. */
  | {
      readonly collect: readonly string[];
      /** Default `all`. */
      readonly mode?: "all" | "any" | { readonly quorum: number };
      readonly deadlineMs?: Millis;
    };

/** How a run is started. */
export interface RunOptions {
  /** Runs of one session go one at a time, in order. */
  readonly sessionId?: string;
  /** -100 to 100, added to each task's own. */
  readonly priority?: number;
  /** Longest time from acceptance to the end, such as `10m`. */
  readonly deadline?: string;
  readonly labels?: { readonly [key: string]: string };
  readonly namespace?: string;
  /** Equal keys with equal requests are one run. */
  readonly idempotencyKey?: string;
}

export class RunHandle<Result = unknown> {
  readonly runId: string;
  readonly #access: RunAccess;
  readonly #end: () => Promise<RunEnd>;

  /** Made by engines and clients. `end` is for those who know a shorter way to the end than watching. */
  constructor(runId: string, access: RunAccess, end = () => access.end(runId)) {
    this.runId = runId;
    this.#access = access;
    this.#end = end;
  }

  /** The run's output once it is over. Rejects with {@link RunFailedError} when it failed or was cancelled. */
  async result(): Promise<Result> {
    const end = await translated(this.#end());
    if (end.status !== "COMPLETED") throw new RunFailedError({ ...end, runId: this.runId });
    return end.output as Result;
  }

  /** Events after `afterSequence` (0: all of them), then those to come, to the end of the run. */
  async *watch(
    options: { readonly afterSequence?: number; readonly abort?: AbortSignal } = {},
  ): AsyncGenerator<RunEvent, void, undefined> {
    const { afterSequence = 0, abort } = options;
    try {
      for await (const event of this.#access.watch(this.runId, afterSequence, abort)) {
        yield runEvent(event);
      }
    } catch (error) {
      throw publicError(error);
    }
  }

  /** Stops the run. Resolves when that is decided for good; `result` tells when it is done. */
  cancel(options: { readonly reason?: string; readonly graceMs?: Millis } = {}): Promise<void> {
    const { reason = "cancelled by the program", ...grace } = options;
    return translated(this.#access.cancel(this.runId, { reason, ...grace }));
  }

  /** Sends a signal to a task. Resolves when it is durable, with where it stands. */
  signal(taskId: string, signal: TaskSignal): Promise<SignalStanding> {
    const request = create(SignalRequestSchema, {
      runId: this.runId,
      taskId,
      signal: wireSignal(signal),
    });
    return translated(this.#access.signal(request));
  }
}

function wireSignal(signal: TaskSignal) {
  if ("steer" in signal) {
    const value = { payload: jsonValue(signal.steer), text: signal.text ?? "" };
    return { case: "steer" as const, value };
  }
  if ("interrupt" in signal) {
    const replaceWith =
      signal.replaceWith === undefined ? {} : { replaceWith: jsonValue(signal.replaceWith) };
    const value = { reason: signal.interrupt, grace: duration(signal.graceMs), ...replaceWith };
    return { case: "interrupt" as const, value };
  }
  const { mode = "all" } = signal;
  const value = {
    taskIds: [...signal.collect],
    mode: typeof mode === "object" ? CollectMode.QUORUM : MODES[mode],
    quorum: typeof mode === "object" ? mode.quorum : 0,
    deadline: duration(signal.deadlineMs),
  };
  return { case: "collect" as const, value };
}

const MODES = { all: CollectMode.ALL, any: CollectMode.ANY } as const;

/** A duration as the wire writes it; empty when there is none. */
export function duration(ms: Millis | undefined): string {
  return ms === undefined ? "" : `${ms}ms`;
}
