/**
 * A memory hub on a disk that outlives it and a clock that tests turn. Closing and opening again is a restart; `crash`
 * is one without the closing. Words stand for days, hashes for vectors, and nothing leaves the process.
 */
import { MemoryDisk, MemoryStore } from "../../src/adapters/memory-store.ts";
import { memorySession } from "../../src/core/memory/entry.ts";
import { AGENT_WEIGHTS } from "../../src/core/memory/strength.ts";
import type { MemorizeRequest } from "../../src/memory/api.ts";
import { MemoryHub, type MemoryHubOptions } from "../../src/memory/hub.ts";
import type { VectorIndex } from "../../src/ports/memory.ts";
import { MemoryLogger } from "./memory-logger.ts";
import { NullMetrics } from "./metrics.ts";
import { VirtualHost } from "./virtual-host.ts";

export const DAY = 86_400_000;

/** A session of the default namespace. */
export const session = (name: string): string => memorySession("default", name);

export const HUB_OPTIONS: MemoryHubOptions = {
  cacheBytes: 64 * 1024 * 1024,
  rules: { threshold: 0.3, graceMs: 30 * DAY },
  weights: AGENT_WEIGHTS,
  sweepEveryMs: 365 * DAY,
  sessionEntries: 1_000,
  contentBytes: 10_000,
  vectors: { kind: "hash", dimension: 64 },
  coldAbove: 0,
};

/** Lives of one memory. */
export class MemoryRig {
  readonly disk: MemoryDisk;
  readonly host = new VirtualHost();
  readonly metrics = new NullMetrics();
  readonly log = new MemoryLogger();
  readonly #options: Partial<MemoryHubOptions>;
  readonly #cold: VectorIndex | undefined;
  hub!: MemoryHub;

  private constructor(
    options: Partial<MemoryHubOptions>,
    cold?: VectorIndex,
    disk = new MemoryDisk(),
  ) {
    this.#options = options;
    this.#cold = cold;
    this.disk = disk;
  }

  static async open(
    options: Partial<MemoryHubOptions> = {},
    cold?: VectorIndex,
    disk?: MemoryDisk,
  ): Promise<MemoryRig> {
    const rig = new MemoryRig(options, cold, disk);
    await rig.start();
    return rig;
  }

  async start(): Promise<void> {
    const { host, metrics, log } = this;
    this.hub = await MemoryHub.open(
      { ...HUB_OPTIONS, ...this.#options },
      { store: new MemoryStore(this.disk), host, metrics, log, cold: this.#cold },
    );
  }

  async restart(): Promise<void> {
    await this.hub.close();
    await this.start();
  }

  /** The process is gone; what it had written stays. */
  async crash(): Promise<void> {
    this.disk.unlock();
    await this.start();
  }

  /** Remembers one thing and answers its id. */
  async add(sessionId: string, text: string, more: Partial<MemorizeRequest> = {}): Promise<string> {
    const [outcome] = await this.hub.memorize([{ sessionId, content: { text }, ...more }]);
    return outcome?.id ?? "";
  }

  /** Texts found, best first. */
  async find(sessionId: string, text: string, more: object = {}): Promise<readonly string[]> {
    const { results } = await this.hub.retrieve({ sessionId, text, limit: 10, ...more });
    return results.map(({ entry }) => ("text" in entry.content ? entry.content.text : "(bytes)"));
  }
}
