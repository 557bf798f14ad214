/**
 * What a simulated daemon is put together from, so that a planted defect can take the place of one part. The world asks
 * whatever runs attempts only for what {@link Fleet} says, so other kinds of workers can stand beside these agents.
 */
import { MemoryStore } from "../../src/adapters/memory-store.ts";
import { Engine } from "../../src/engine/engine.ts";
import { EventHub } from "../../src/events/hub.ts";
import { LaneManager } from "../../src/lanes/lane-manager.ts";
import type { AgentTransport } from "../../src/ports/agent.ts";
import { Runtime } from "../../src/runtime/runtime.ts";
import { SimulatedAgents } from "./agents.ts";
import { CountingDisk } from "./counting-disk.ts";
import type { Faults } from "./faults.ts";
import { ObservedJournal } from "./journal.ts";
import { SimulatedHost } from "./time.ts";

/** Everything that runs attempts of one process. */
export interface Fleet {
  /** In order of precedence. */
  readonly transports: readonly AgentTransport[];
  /** Keys of attempts that somebody works on. */
  readonly attempts: readonly string[];
}

/** The parts that can be replaced. */
export interface Parts {
  readonly Disk: typeof CountingDisk;
  readonly Store: typeof MemoryStore;
  readonly Host: typeof SimulatedHost;
  readonly Agents: typeof SimulatedAgents;
  readonly Journal: typeof ObservedJournal;
  readonly Lanes: typeof LaneManager;
  readonly Hub: typeof EventHub;
  readonly Runtime: typeof Runtime;
  readonly Engine: typeof Engine;
  /** What the process is told of its configuration. */
  readonly configured: (faults: Faults) => Faults;
  /** Whether readers of a rotten disk look at checksums. */
  readonly checksChecksums: boolean;
}

/** The real ones. */
export const REAL_PARTS: Parts = {
  Disk: CountingDisk,
  Store: MemoryStore,
  Host: SimulatedHost,
  Agents: SimulatedAgents,
  Journal: ObservedJournal,
  Lanes: LaneManager,
  Hub: EventHub,
  Runtime,
  Engine,
  configured: (faults) => faults,
  checksChecksums: true,
};
