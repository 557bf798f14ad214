/**
 * A disk that behaves as badly as real ones may. A batch becomes durable only when its sync completes, after a delay
 * the simulation chooses; a sync can fail, and then nothing later succeeds; a crash keeps some prefix of what was not
 * synced, tears what was on its way, and forgets the rest. Values can rot at rest. It plays by the stores' own
 * guarantee that a torn batch is dropped whole, and never decides anything by itself: chance and time come from outside.
 */
import { type DiskChange, MemoryDisk } from "../../src/adapters/memory-store.ts";
import type { Prng } from "../../src/base/hash.ts";
import type { Host } from "../../src/ports/host.ts";

interface Waiting {
  /** Makes it durable. */
  readonly apply: () => void;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** What the simulation decides for the disk. */
export interface DiskOptions {
  readonly host: Pick<Host, "setTimer">;
  /** How long the next sync takes. */
  readonly syncMs: () => number;
}

/** What a crash did to batches that nobody had been told were durable. */
export interface CrashReport {
  readonly kept: number;
  readonly lost: number;
}

/** A {@link MemoryDisk} with unsynced writes, failures, crashes and rot. */
export class SimulatedDisk extends MemoryDisk {
  readonly #options: DiskOptions;
  /** In order; the first `#inSync` of them are part of the sync under way. */
  #waiting: Waiting[] = [];
  #inSync = 0;
  #life = 0;
  #failNext: string | undefined;
  #broken: Error | undefined;

  constructor(options: DiskOptions) {
    super();
    this.#options = options;
  }

  /** Batches that are not durable yet. */
  get unsynced(): number {
    return this.#waiting.length;
  }

  /** Whether a sync has failed since the last crash. */
  get isBroken(): boolean {
    return this.#broken !== undefined;
  }

  override sync(batch: readonly DiskChange[]): Promise<void> {
    return this.#enqueue(() => this.apply(batch));
  }

  override syncMark(value: bigint): Promise<void> {
    return this.#enqueue(() => {
      this.mark = value;
    });
  }

  /** The next sync to complete fails instead, and with it everything until the next crash. */
  failNextSync(detail: string): void {
    this.#failNext = detail;
  }

  /** The process is gone: its promises never settle, its lock is free, and chance decides about unsynced batches. */
  crash(random: Prng): CrashReport {
    const kept = Math.floor(random() * (this.#waiting.length + 1));
    for (const waiting of this.#waiting.slice(0, kept)) waiting.apply();
    const lost = this.#waiting.length - kept;
    this.#waiting = [];
    this.#inSync = 0;
    this.#life++;
    this.#failNext = undefined;
    this.#broken = undefined;
    this.unlock();
    return { kept, lost };
  }

  /** Flips one bit of one stored value, or loses the value; returns what was hit, undefined on an empty disk. */
  rot(random: Prng): string | undefined {
    const keys = [...this.contents.range({ from: "", to: "\uffff" })].map(([key]) => key);
    const key = keys[Math.floor(random() * keys.length)];
    if (key === undefined) return undefined;
    const value = this.contents.get(key) as Uint8Array;
    if (value.length === 0 || random() < 0.3) {
      this.apply([{ kind: "delete", key }]);
      return `lost ${key}`;
    }
    const bit = Math.floor(random() * value.length * 8);
    const rotten = value.slice();
    rotten[bit >> 3] = (rotten[bit >> 3] as number) ^ (1 << (bit & 7));
    this.contents.set(key, rotten);
    return `flipped bit ${bit} of ${key}`;
  }

  #enqueue(apply: () => void): Promise<void> {
    if (this.#broken !== undefined) return Promise.reject(this.#broken);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ apply, resolve, reject });
      if (this.#inSync === 0) this.#startSync();
    });
  }

  /** One sync at a time; it carries everything that waits when it starts. */
  #startSync(): void {
    this.#inSync = this.#waiting.length;
    const life = this.#life;
    this.#options.host.setTimer(this.#options.syncMs(), () => {
      if (life === this.#life) this.#finishSync();
    });
  }

  #finishSync(): void {
    if (this.#failNext !== undefined) {
      this.#broken = new Error(this.#failNext);
      // What the failed sync carried may or may not be on disk; a crash will decide.
      for (const waiting of this.#waiting) waiting.reject(this.#broken);
      return;
    }
    const done = this.#waiting.splice(0, this.#inSync);
    this.#inSync = 0;
    for (const waiting of done) {
      waiting.apply();
      waiting.resolve();
    }
    if (this.#waiting.length > 0) this.#startSync();
  }
}
