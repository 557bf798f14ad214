/**
 * One life of the daemon: the whole application on a simulated host and the disk that outlives it, put together the way
 * the real one is. It ends by a crash, which simply drops it, or by a drain and a stop, after which nothing may be left.
 */
import { MemoryMark, MemoryStore } from "../../src/adapters/memory-store.ts";
import type { Prng } from "../../src/base/hash.ts";
import { Engine } from "../../src/engine/engine.ts";
import { EventHub } from "../../src/events/hub.ts";
import { LaneManager } from "../../src/lanes/lane-manager.ts";
import { Runtime } from "../../src/runtime/runtime.ts";
import { MemoryLogger } from "../support/memory-logger.ts";
import { NullMetrics } from "../support/metrics.ts";
import { SimulatedAgents } from "./agents.ts";
import {
  type Defect,
  FickleAgents,
  ForgetfulHost,
  ForgetfulJournal,
  KeylessJournal,
  LeakyLanes,
  SkippingHub,
  StaleAgents,
  TurnlessLanes,
  widened,
} from "./defects.ts";
import { FICKLE_AGENTS, STEADY_AGENTS } from "./definitions.ts";
import type { Behaviour, Faults } from "./faults.ts";
import { ObservedJournal, type Observers } from "./journal.ts";
import { type HostOptions, SimulatedHost } from "./time.ts";

/** What a process is made of. */
export interface ProcessOptions extends Observers {
  readonly faults: Faults;
  readonly host: HostOptions;
  readonly random: Prng;
  readonly defect: Defect | undefined;
  readonly shares: () => Readonly<Record<Behaviour, number>>;
  readonly misbehaved: () => void;
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

const AGENTS: { readonly [D in Defect]?: typeof SimulatedAgents } = {
  "last answer wins": FickleAgents,
  "stale answer": StaleAgents,
};
const HOSTS: { readonly [D in Defect]?: typeof SimulatedHost } = {
  "lost timer": ForgetfulHost,
};
const JOURNALS: { readonly [D in Defect]?: typeof ObservedJournal } = {
  "forgotten key": KeylessJournal,
  "forgotten run": ForgetfulJournal,
};
const LANES: { readonly [D in Defect]?: typeof LaneManager } = {
  "dropped release": LeakyLanes,
  "ignored turn": TurnlessLanes,
};

/** The part a defect replaces, or the real one. */
function partOf<T>(parts: { readonly [D in Defect]?: T }, defect: Defect | undefined, real: T): T {
  return (defect && parts[defect]) ?? real;
}

export class SimulatedProcess {
  readonly host: SimulatedHost;
  /** Of the agents, so that their timers do not count as the engine's. */
  readonly #agentHost: SimulatedHost;
  readonly engine: Engine;
  readonly runtime: Runtime;
  readonly hub: EventHub;
  readonly metrics = new NullMetrics();
  readonly log = new MemoryLogger();
  readonly #transports: readonly SimulatedAgents[];
  #reject: (error: Error) => void = () => {};
  readonly #death: Promise<never>;
  isReady = false;
  isDead = false;

  constructor(options: ProcessOptions) {
    const { faults, defect, disk } = options;
    const { log, metrics } = this;
    this.host = new (partOf(HOSTS, defect, SimulatedHost))(options.host);
    this.#agentHost = new SimulatedHost(options.host);
    const { host } = this;
    this.#death = new Promise((_, reject) => {
      this.#reject = reject;
    });
    this.#death.catch(() => {});
    this.#transports = this.#newTransports(options);
    const journal = new (partOf(JOURNALS, defect, ObservedJournal))(
      { store: new MemoryStore(disk), mark: new MemoryMark(disk), host },
      options,
    );
    this.hub = new (defect === "skipped event" ? SkippingHub : EventHub)(
      { bufferBytes: faults.watchBufferBytes },
      { journal, metrics },
    );
    this.runtime = new Runtime({}, { host, transports: this.#transports, log, metrics });
    const lanes = new (partOf(LANES, defect, LaneManager))(
      defect === "extra slot" ? widened(faults.lanes) : faults.lanes,
    );
    this.engine = new Engine(faults.engine, {
      host,
      journal,
      lanes,
      runtime: this.runtime,
      hub: this.hub,
      log,
      metrics,
      onFailure: options.onFailure,
      onCommit: () => {},
    });
  }

  #newTransports(options: ProcessOptions): SimulatedAgents[] {
    const { random, oracles, shares, misbehaved, defect, ghosts, isShortOfAgents } = options;
    const deps = { host: this.#agentHost, random, oracles, shares, misbehaved };
    const Agents = partOf(AGENTS, defect, SimulatedAgents);
    const strangers = (other: number) => () => [
      ...ghosts,
      ...(this.#transports[other]?.flights.keys() ?? []),
    ];
    return [
      new Agents("steady", STEADY_AGENTS, strangers(1), deps),
      new Agents("fickle", isShortOfAgents ? [] : FICKLE_AGENTS, strangers(0), deps),
    ];
  }

  /** Attempts that some agent works on. */
  get attempts(): string[] {
    return this.#transports.flatMap(({ flights }) => [...flights.keys()]);
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
