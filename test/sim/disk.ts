/**
 * A disk that behaves as badly as real ones may. A batch becomes durable only when its sync completes, after a delay
 * the simulation chooses; a crash keeps some prefix of what was not synced and forgets the rest. A sync can fail, for
 * once or for want of space: then the pages it carried are dropped by the next attempt, which succeeds without them
 * (as Linux does), so only a store that never tries again is right. It plays by the stores' own guarantee that a torn
 * batch is dropped whole, and never decides anything by itself: chance and time come from outside.
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

/** A {@link MemoryDisk} with unsynced writes, failures and crashes. */
export class SimulatedDisk extends MemoryDisk {
  readonly #options: DiskOptions;
  /** In order; the first `#inSync` of them are part of the sync under way. */
  #waiting: Waiting[] = [];
  #inSync = 0;
  /** What a failed sync carried: may be on the disk or not. */
  #doubtful: Waiting[] = [];
  #life = 0;
  #stallMs = 0;
  #failNext: string | undefined;
  #isFull = false;
  #failure: Error | undefined;

  constructor(options: DiskOptions) {
    super();
    this.#options = options;
  }

  /** Whether a sync has failed since the last crash. */
  get isBroken(): boolean {
    return this.#failure !== undefined;
  }

  get isFull(): boolean {
    return this.#isFull;
  }

  override sync(batch: readonly DiskChange[]): Promise<void> {
    // Whoever tries again after a failure is told that all is well, and the pages are gone.
    if (this.#failure !== undefined) this.#doubtful = [];
    return this.#enqueue(() => this.apply(batch));
  }

  override syncMark(value: bigint): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return this.#enqueue(() => {
      this.mark = value;
    });
  }

  /** The next sync takes this much longer. */
  stallNextSync(delayMs: number): void {
    this.#stallMs = delayMs;
  }

  /** The next sync to complete fails instead. */
  failNextSync(detail: string): void {
    this.#failNext = detail;
  }

  /** Whether every sync fails for want of space. */
  fill(isFull: boolean): void {
    this.#isFull = isFull;
  }

  /** The process is gone: its promises never settle, its lock is free, and chance decides about unsynced batches. */
  crash(random: Prng): CrashReport {
    const unsynced = [...this.#doubtful, ...this.#waiting];
    const kept = Math.floor(random() * (unsynced.length + 1));
    for (const waiting of unsynced.slice(0, kept)) waiting.apply();
    this.#waiting = [];
    this.#doubtful = [];
    this.#inSync = 0;
    this.#life++;
    this.#failNext = undefined;
    this.#failure = undefined;
    this.unlock();
    return { kept, lost: unsynced.length - kept };
  }

  #enqueue(apply: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ apply, resolve, reject });
      if (this.#inSync === 0) this.#startSync();
    });
  }

  /** One sync at a time; it carries everything that waits when it starts. */
  #startSync(): void {
    this.#inSync = this.#waiting.length;
    const life = this.#life;
    const delayMs = this.#options.syncMs() + this.#stallMs;
    this.#stallMs = 0;
    this.#options.host.setTimer(delayMs, () => {
      if (life === this.#life) this.#finishSync();
    });
  }

  #finishSync(): void {
    const failure = this.#isFull ? "ENOSPC" : this.#failNext;
    this.#failNext = undefined;
    if (failure !== undefined) return this.#fail(new Error(failure));
    const done = this.#waiting.splice(0, this.#inSync);
    this.#inSync = 0;
    for (const waiting of done) {
      waiting.apply();
      waiting.resolve();
    }
    if (this.#waiting.length > 0) this.#startSync();
  }

  #fail(error: Error): void {
    this.#failure = error;
    this.#doubtful = this.#waiting;
    this.#waiting = [];
    this.#inSync = 0;
    for (const waiting of this.#doubtful) waiting.reject(error);
  }
}
