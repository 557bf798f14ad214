/**
 * A whole engine on virtual time and an in-memory disk that outlives it: build, use, crash, build again. Agents are
 * functions whose calls wait until the test answers them, so every interleaving is the test's own choice.
 */
import { builtinAgents } from "../../src/adapters/agents/builtin-agents.ts";
import { FunctionTransport } from "../../src/adapters/agents/function-transport.ts";
import { MemoryDisk, MemoryStore } from "../../src/adapters/memory-store.ts";
import type { RunId } from "../../src/base/ids.ts";
import { type Json, jsonPayload } from "../../src/base/payload.ts";
import type { LanesConfig } from "../../src/core/lane/lane.ts";
import type { StartRun, WatchItem } from "../../src/engine/api.ts";
import { Engine } from "../../src/engine/engine.ts";
import { ENGINE_LIMITS, type EngineLimits } from "../../src/engine/limits.ts";
import type { ShardOptions } from "../../src/engine/shard-options.ts";
import { EventHub } from "../../src/events/hub.ts";
import { StoreJournal } from "../../src/journal/journal.ts";
import { LaneManager } from "../../src/lanes/lane-manager.ts";
import type { AgentContext } from "../../src/ports/agent-context.ts";
import type { TaskMemory } from "../../src/ports/task-memory.ts";
import { Runtime } from "../../src/runtime/runtime.ts";
import { WorkerPool } from "../../src/runtime/worker-pool.ts";
import { MemoryLogger } from "./memory-logger.ts";
import { NullMetrics } from "./metrics.ts";
import { definitionOf } from "./run-harness.ts";
import { VirtualHost } from "./virtual-host.ts";

/** One call of a test agent, waiting for its answer. */
export interface Call {
  readonly agent: string;
  readonly input: unknown;
  readonly ctx: AgentContext;
  readonly answer: (output: Json) => void;
  readonly fail: (message: string) => void;
}

const LANES: LanesConfig = {
  global: { concurrency: 100 },
  named: [],
  session: { scope: "run", concurrency: 1 },
};

export class EngineBench {
  readonly host: VirtualHost;
  readonly disk: MemoryDisk;
  readonly log = new MemoryLogger();
  readonly metrics = new NullMetrics();
  readonly failures: Error[] = [];
  readonly lanes: LaneManager;
  readonly journal: StoreJournal;
  readonly engine: Engine;
  /** Set with the option `workers`. */
  readonly workers: WorkerPool | undefined;
  readonly calls: Call[] = [];
  readonly #agents: readonly string[];
  readonly #lanesConfig: LanesConfig;
  readonly #limits: Partial<EngineLimits>;
  readonly #memory: TaskMemory | undefined;

  constructor(
    options: {
      disk?: MemoryDisk;
      host?: VirtualHost;
      agents?: readonly string[];
      lanes?: LanesConfig;
      shard?: Partial<ShardOptions>;
      limits?: Partial<EngineLimits>;
      /** Whether workers can connect. */
      workers?: boolean;
      memory?: TaskMemory;
    } = {},
  ) {
    const { log, metrics } = this;
    const host = options.host ?? new VirtualHost();
    this.host = host;
    this.disk = options.disk ?? new MemoryDisk();
    this.#agents = options.agents ?? ["work"];
    this.#lanesConfig = options.lanes ?? LANES;
    this.#limits = options.limits ?? {};
    this.#memory = options.memory;
    this.journal = new StoreJournal({
      store: new MemoryStore(this.disk),
      host,
      onFailure: (failure) => this.engine.storeFailed(failure),
    });
    const functions = new FunctionTransport({}, { host });
    for (const name of this.#agents)
      functions.register({ name, run: (input, ctx) => this.#call(name, input, ctx) });
    this.workers = options.workers ? new WorkerPool({}, { host, log }) : undefined;
    const { payloadBytes, timerMs } = { ...ENGINE_LIMITS, ...this.#limits };
    const runtime = new Runtime(
      { payloadBytes, timerMs },
      {
        host,
        transports: [functions, builtinAgents({ httpAllow: [] }, { host })],
        ...(this.workers === undefined ? {} : { workers: this.workers }),
        log,
        metrics,
      },
    );
    this.lanes = new LaneManager(this.#lanesConfig, runtime);
    this.engine = new Engine(
      { limits: this.#limits, awakeMost: 0, ...options.shard },
      {
        host,
        journal: this.journal,
        lanes: this.lanes,
        runtime,
        hub: new EventHub({}, { journal: this.journal, metrics }),
        log,
        metrics,
        ...(this.#memory === undefined ? {} : { memory: this.#memory }),
        onFailure: (error) => this.failures.push(error),
        onCommit: () => {},
      },
    );
  }

  #call(agent: string, input: unknown, ctx: AgentContext): Promise<Json> {
    return new Promise((resolve, reject) => {
      this.calls.push({ agent, input, ctx, answer: resolve, fail: (m) => reject(new Error(m)) });
    });
  }

  async start(): Promise<this> {
    await this.wait(this.engine.start());
    return this;
  }

  /** The same disk under a new engine, as after `kill -9`; the old one is simply forgotten. */
  async restart(limits = this.#limits): Promise<EngineBench> {
    this.disk.unlock();
    const next = new EngineBench({
      host: this.host,
      disk: this.disk,
      agents: this.#agents,
      lanes: this.#lanesConfig,
      limits,
      workers: this.workers !== undefined,
      ...(this.#memory === undefined ? {} : { memory: this.#memory }),
    });
    return next.start();
  }

  /** Lets everything happen that needs no time, then awaits. */
  async wait<T>(promise: Promise<T>): Promise<T> {
    let isDone = false;
    const done = promise.finally(() => {
      isDone = true;
    });
    done.catch(() => {});
    for (let turn = 0; turn < 200 && !isDone; turn++) await this.host.settle();
    if (!isDone) throw new Error("the promise waits for time or for an answer");
    return done;
  }

  async settle(): Promise<void> {
    for (let turn = 0; turn < 20; turn++) await this.host.settle();
  }

  /** Starts a run of a definition in its short form. */
  async run(
    spec: Json,
    options: Partial<StartRun["request"]> & { key?: string; input?: never } = {},
    input: Json = null,
  ): Promise<RunId> {
    const { key, ...request } = options;
    const started = await this.wait(
      this.engine.startRun({
        definition: definitionOf(spec),
        request: {
          namespace: "default",
          priority: 0,
          labels: {},
          ...request,
          input: jsonPayload(input),
        },
        ...(key === undefined ? {} : { idempotencyKey: key }),
      }),
    );
    await this.settle();
    return started.runId;
  }

  /** Answers the oldest waiting call. */
  async answer(output: Json = null): Promise<Call> {
    const call = this.calls.shift();
    if (call === undefined) throw new Error("no agent waits for an answer");
    call.answer(output);
    await this.settle();
    return call;
  }

  async status(runId: RunId): Promise<Record<string, string>> {
    const run = await this.wait(this.engine.getRun(runId));
    return {
      run: run.status,
      ...Object.fromEntries(run.tasks.map((task) => [task.id, task.status])),
    };
  }

  /** Everything a watch yields until it ends. */
  async watched(runId: RunId, after = 0): Promise<WatchItem[]> {
    const items: WatchItem[] = [];
    await this.wait(
      (async () => {
        for await (const item of this.engine.watch(runId, after)) items.push(item);
      })(),
    );
    return items;
  }
}
