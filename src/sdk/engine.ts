/**
 * An engine inside the program that uses it: the same parts as the daemon's, without its server. Agents given as
 * functions run in this thread; those of directories in threads of their own. The engine is loaded when one is opened,
 * so a program that only talks to a daemon does not pay for it.
 */
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import type { EmbeddedEngine } from "../app.ts";
import { FaultError, fault } from "../base/fault.ts";
import { type Json, type Payload, payloadValue } from "../base/payload.ts";
import type { Millis } from "../base/time.ts";
import { type Config, resolveConfig } from "../config.ts";
import type { Definition } from "../core/dag/definition.ts";
import type { EndedRun, EngineApi, StartRun } from "../engine/api.ts";
import type { Agent } from "../ports/agent-context.ts";
import { taskEvent } from "../server/wire-event.ts";
import { readRunId, readSignal } from "../server/wire-signal.ts";
import { readDuration } from "../server/wire-words.ts";
import { translated } from "./errors.ts";
import { type RunAccess, type RunEnd, RunHandle, type RunOptions } from "./run-handle.ts";
import type { StoreChoice } from "./store.ts";
import { jsonText } from "./wire-value.ts";
import type { AnyWorkflow, Workflow } from "./workflow.ts";

/** Settings of one lane; a number is its concurrency. */
export type LaneOption =
  | number
  | {
      readonly concurrency?: number;
      readonly capacity?: number;
      readonly rate?: { readonly limit: number; readonly per?: string; readonly burst?: number };
      /** `block`, `drop newest`, `drop oldest` or `redirect LANE`. */
      readonly overflow?: string;
    };

export interface EngineOptions {
  /** Where runs are kept; see `rocksdb`, `leveldb`, `memory`. */
  readonly store: StoreChoice;
  /** Lanes by name, beside the built-in `default`, `io` and `cpu`. */
  readonly lanes?: { readonly [name: string]: LaneOption };
  /**
   * Functions made with `agent`, and directories of plugin agents. The agents of a workflow need not be named here,
   * except for runs that an earlier process left open: those go on at once.
   */
  readonly agents?: readonly (Agent<never> | string)[];
  /** Least severe level of the log on standard error. Default `warn`. */
  readonly log?: "debug" | "info" | "warn" | "error";
  /** Any further setting as a configuration file has it; see docs/configuration.md. */
  readonly settings?: { readonly [key: string]: Json };
}

/** An engine in this process. */
export class Engine {
  readonly #parts: EmbeddedEngine;
  readonly #access: EmbeddedAccess;
  readonly #registered: Set<Agent>;
  readonly #definitions = new WeakMap<AnyWorkflow, Definition>();

  private constructor(parts: EmbeddedEngine, registered: Iterable<Agent>) {
    this.#parts = parts;
    this.#access = new EmbeddedAccess(parts.engine);
    this.#registered = new Set(registered);
    parts.failed.then(
      (error) => this.#access.abandon(error),
      () => {},
    );
  }

  /**
   * Opens the store and continues the runs that are open in it. Rejects with {@link GoClawError}: `CONFIG_INVALID`,
   * `STORE_LOCKED`, `DATA_LOSS` and the like.
   */
  static open(options: EngineOptions): Promise<Engine> {
    const functions = (options.agents ?? []).filter((each) => typeof each !== "string") as Agent[];
    const opening = async (): Promise<Engine> => {
      const { openEmbedded } = await import("../app.ts");
      return new Engine(await openEmbedded(configOf(options), functions), functions);
    };
    return translated(opening());
  }

  /** Starts a run and waits for its output. Rejects with {@link RunFailedError} when it does not succeed. */
  async execute<Input, Tasks extends object, Sinks extends keyof Tasks, Output>(
    workflow: Workflow<Input, Tasks, Sinks, Output>,
    input: Input,
    options: RunOptions = {},
  ): Promise<Workflow<Input, Tasks, Sinks, Output>["types"]["result"]> {
    const handle = await this.start(workflow, input, options);
    return handle.result();
  }

  /** Starts a run. Resolves when it is durable. */
  start<Input, Tasks extends object, Sinks extends keyof Tasks, Output>(
    workflow: Workflow<Input, Tasks, Sinks, Output>,
    input: Input,
    options: RunOptions = {},
  ): Promise<RunHandle<Workflow<Input, Tasks, Sinks, Output>["types"]["result"]>> {
    const starting = async () => {
      this.#register(workflow.agents);
      const request = startRequest(this.#definitionOf(workflow), input, options);
      return this.#access.start(request);
    };
    return translated(starting());
  }

  /** A run by its id, whoever started it. */
  run(runId: string): RunHandle {
    return new RunHandle(runId, this.#access);
  }

  /** Resolves with the error when the store has failed and nothing can be acknowledged any more. */
  get failed(): Promise<Error> {
    return this.#parts.failed;
  }

  /**
   * Takes no new runs, waits for running attempts (30 s unless set otherwise), closes. Runs that are still open go on
   * when the store is opened again; whoever waits for them is told `ENGINE_DRAINING`.
   */
  async close(): Promise<void> {
    await translated(this.#parts.close());
    this.#access.abandon(new FaultError(fault("ENGINE_DRAINING", { retryAfterMs: 0 })));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Two different functions under one name are refused, as `AGENT_DUPLICATE`. */
  #register(agents: readonly Agent[]): void {
    for (const agent of agents) {
      if (this.#registered.has(agent)) continue;
      this.#parts.functions.register(agent);
      this.#registered.add(agent);
    }
  }

  #definitionOf(workflow: AnyWorkflow): Definition {
    const known = this.#definitions.get(workflow) ?? workflow.toDefinition();
    this.#definitions.set(workflow, known);
    return known;
  }
}

function configOf({
  store,
  lanes,
  agents = [],
  log = "warn",
  settings = {},
}: EngineOptions): Config {
  const named = Object.entries(lanes ?? {}).map(([name, lane]) => [
    name,
    typeof lane === "number" ? { concurrency: lane } : lane,
  ]);
  const said = {
    ...store,
    lanes: { named: Object.fromEntries(named) },
    agents: agents.filter((each) => typeof each === "string"),
    log: { level: log },
  } as Json;
  const baseDir = process.cwd();
  return resolveConfig(
    [
      { name: "settings", tree: settings, baseDir },
      { name: "Engine.open", tree: said, baseDir },
    ],
    { cores: availableParallelism(), baseDir, resolvePath: resolve },
  );
}

function startRequest(definition: Definition, input: unknown, options: RunOptions): StartRun {
  const {
    namespace = "default",
    priority = 0,
    labels = {},
    sessionId,
    deadline,
    idempotencyKey,
  } = options;
  const deadlineMs = readDuration("deadline", deadline ?? "");
  return {
    definition,
    request: {
      input: { json: jsonText(input) },
      namespace,
      priority,
      labels,
      ...(sessionId === undefined ? {} : { sessionId }),
      ...(deadlineMs === undefined ? {} : { deadlineMs }),
    },
    ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
  };
}

/** Runs of the engine in this process. */
class EmbeddedAccess implements RunAccess {
  readonly #engine: EngineApi;
  /** Runs started here that have not ended: told when the engine will never say how. */
  readonly #open = new Set<PromiseWithResolvers<EndedRun>>();

  constructor(engine: EngineApi) {
    this.#engine = engine;
  }

  /** The handle knows its end without watching. */
  async start(request: StartRun): Promise<RunHandle<never>> {
    const ended = Promise.withResolvers<EndedRun>();
    // Nobody may be waiting for it.
    ended.promise.catch(() => {});
    this.#open.add(ended);
    try {
      const { runId } = await this.#engine.startRun(request, (end) => {
        this.#open.delete(ended);
        ended.resolve(end);
      });
      return new RunHandle(runId, this, async () => this.#endOf(await ended.promise));
    } catch (error) {
      this.#open.delete(ended);
      throw error;
    }
  }

  /** Gives up on all runs that are open. */
  abandon(error: unknown): void {
    for (const ended of this.#open) ended.reject(error);
    this.#open.clear();
  }

  /** The end of a run that was started elsewhere. Its last event carries the output. */
  async end(text: string): Promise<RunEnd> {
    const runId = readRunId(text);
    const { sequence } = await this.#engine.getRun(runId);
    let output: Payload | undefined;
    for await (const item of this.#engine.watch(runId, Math.max(0, sequence - 1))) {
      if (item.kind === "event") output = item.runOutput ?? output;
    }
    const { status, ending } = await this.#engine.getRun(runId);
    const message = ending?.message ?? "";
    return this.#endOf({ runId, status, reason: ending?.reason, message, output });
  }

  async #endOf({ runId, status, reason, message, output }: EndedRun): Promise<RunEnd> {
    const isDone = status === "COMPLETED";
    return {
      status,
      reason: reason ?? "",
      message,
      taskId: isDone ? undefined : (await this.#engine.getRun(runId)).ending?.task,
      output: output === undefined ? undefined : payloadValue(output),
    };
  }

  async *watch(text: string, afterSequence: number, abort?: AbortSignal) {
    for await (const item of this.#engine.watch(readRunId(text), afterSequence, abort)) {
      yield taskEvent(item);
    }
  }

  async cancel(text: string, options: { readonly reason: string; readonly graceMs?: Millis }) {
    await this.#engine.cancelRun(readRunId(text), options);
  }

  async signal(request: Parameters<RunAccess["signal"]>[0]) {
    const [answer] = await this.#engine.signal(readSignal(request));
    if (answer === undefined) {
      throw new FaultError(
        fault("TASK_NOT_FOUND", { runId: request.runId, taskId: request.taskId }),
      );
    }
    return answer.receipt;
  }
}
