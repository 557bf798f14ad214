/**
 * One life of the daemon: the whole application on a simulated host and the disk that outlives it, put together the way
 * the real one is. It ends by a crash, which simply drops it, or by a drain and a stop, after which nothing may be left.
 */
import { MemoryMark } from "../../src/adapters/memory-store.ts";
import type { RunId } from "../../src/base/ids.ts";
import type { Event } from "../../src/core/run/message.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { BusBridge } from "../../src/events/bridge.ts";
import type { EventHub } from "../../src/events/hub.ts";
import type { JournalDeps } from "../../src/journal/journal.ts";
import type { Runtime } from "../../src/runtime/runtime.ts";
import { MemoryLogger } from "../support/memory-logger.ts";
import { NullMetrics } from "../support/metrics.ts";
import type { AgentsDeps, SimulatedAgents } from "./agents.ts";
import type { SimulatedBus } from "./bus.ts";
import { FICKLE_AGENTS, STEADY_AGENTS } from "./definitions.ts";
import type { Faults } from "./faults.ts";
import type { ObservedJournal, Observers } from "./journal.ts";
import type { Fleet, Parts } from "./parts.ts";
import { type HostOptions, SimulatedHost } from "./time.ts";

/** What a process is made of. */
export interface ProcessOptions extends Observers {
  readonly parts: Parts;
  readonly faults: Faults;
  readonly host: HostOptions;
  readonly bus: SimulatedBus;
  readonly agents: Omit<AgentsDeps, "host" | "oracles">;
  readonly onFailure: () => void;
  /** Whether the second transport has lost its agents. */
  readonly isShortOfAgents: boolean;
  /** Attempts of the process before; their workers may still talk. */
  readonly ghosts: readonly string[];
}

/** A call that will never be answered, because the process is gone. */
export class Crashed extends Error {
  override readonly name = "Crashed";
}

/** At the end, how long the bus may take. */
const BUS_DRAIN_MS = 1_000;

export class SimulatedProcess {
  readonly host: SimulatedHost;
  /** Of the agents, so that their timers do not count as the engine's. */
  readonly #agentHost: SimulatedHost;
  readonly engine: Engine;
  readonly runtime: Runtime;
  readonly hub: EventHub;
  readonly journal: ObservedJournal;
  readonly metrics = new NullMetrics();
  readonly log = new MemoryLogger();
  readonly #options: ProcessOptions;
  readonly #fleet: Fleet;
  readonly #bridge: BusBridge | undefined;
  #sweep: Promise<number> | undefined;
  #reject: (error: Error) => void = () => {};
  readonly #death: Promise<never>;
  isReady = false;
  isDead = false;
  hasFailed = false;

  constructor(options: ProcessOptions) {
    const { parts, disk } = options;
    const faults = parts.configured(options.faults);
    const { log, metrics } = this;
    this.#options = options;
    this.host = new parts.Host(options.host);
    this.#agentHost = new SimulatedHost(options.host);
    const { host } = this;
    this.#death = new Promise((_, reject) => {
      this.#reject = reject;
    });
    this.#death.catch(() => {});
    this.#fleet = this.#newAgents();
    const store = new parts.Store(disk);
    const mark = new MemoryMark(disk);
    const onFailure: JournalDeps["onFailure"] = (failure) => this.engine.storeFailed(failure);
    this.journal = new parts.Journal({ store, mark, host, onFailure }, options);
    const { journal } = this;
    this.hub = new parts.Hub({ bufferBytes: faults.watchBufferBytes }, { journal, metrics });
    this.runtime = new parts.Runtime(
      { payloadBytes: faults.payloadBytes },
      { host, transports: this.#fleet.transports, log, metrics },
    );
    this.engine = new parts.Engine(
      { ...faults.engine, awakeMost: faults.awakeMost },
      {
        host,
        journal,
        lanes: new parts.Lanes(faults.lanes),
        runtime: this.runtime,
        hub: this.hub,
        log,
        metrics,
        onFailure: () => {
          this.hasFailed = true;
          options.onFailure();
        },
        onCommit: () => this.#bridge?.notify(),
      },
    );
    this.#bridge = faults.bus.isConfigured ? this.#newBridge() : undefined;
  }

  #newAgents(): Fleet {
    const { parts, agents, oracles, ghosts, isShortOfAgents } = this.#options;
    const deps = { ...agents, oracles, host: this.#agentHost };
    const transports: SimulatedAgents[] = [];
    const strangers = (other: number) => () => [
      ...ghosts,
      ...(transports[other]?.flights.keys() ?? []),
    ];
    transports.push(
      new parts.Agents("steady", STEADY_AGENTS, strangers(1), deps),
      new parts.Agents("fickle", isShortOfAgents ? [] : FICKLE_AGENTS, strangers(0), deps),
    );
    return {
      transports,
      get attempts() {
        return transports.flatMap(({ flights }) => [...flights.keys()]);
      },
    };
  }

  #newBridge(): BusBridge {
    const { bus, faults, oracles } = this.#options;
    const { journal, host, log, metrics } = this;
    return new BusBridge(
      {
        consumer: "sim",
        pageRecords: faults.bus.pageRecords,
        batchEvents: faults.bus.batchEvents,
        saveIntervalMs: 500,
        backoffMaxMs: 2_000,
      },
      {
        journal,
        bus: bus.connect(),
        host,
        log,
        metrics,
        encode: (runId: RunId, sequence: number, event: Event) => {
          oracles.published(runId, sequence, event);
          return `${runId}/${sequence}`;
        },
        namespaceOf: async (runId) => (await this.engine.getRun(runId)).request.namespace,
      },
    );
  }

  /** Recovers and goes on. */
  async start(): Promise<void> {
    await this.engine.start();
    this.#bridge?.start();
  }

  /** Deletes ended runs beyond the rules, one sweep at a time. */
  sweep(): Promise<number> {
    const { retention } = this.#options.faults;
    this.#sweep ??= this.journal.retain(retention, this.host.now()).finally(() => {
      this.#sweep = undefined;
    });
    return this.#sweep;
  }

  /** As the real application stops: the bus gets what it can, then everything closes. */
  async stop(): Promise<void> {
    await this.#bridge?.drain(BUS_DRAIN_MS);
    await this.#bridge?.stop();
    await this.#sweep?.catch(() => 0);
    await this.engine.stop();
  }

  /** Commits that the bus has not taken. */
  get busLag(): number {
    return this.#bridge?.lag ?? 0;
  }

  /** Attempts that some agent works on. */
  get attempts(): readonly string[] {
    return this.#fleet.attempts;
  }

  /** The answer of a call to this process; rejects with {@link Crashed} when it dies first. */
  call<T>(answer: Promise<T>): Promise<T> {
    return Promise.race([answer, this.#death]);
  }

  /** The process is gone. */
  kill(): void {
    this.isDead = true;
    this.isReady = false;
    this.host.kill();
    this.#agentHost.kill();
    this.#reject(new Crashed("the process died"));
  }
}
