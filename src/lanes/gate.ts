/**
 * The slots and the rate of one lane: who may start now. The global lane is a gate and nothing else; a named lane is a
 * gate with a queue before it. A task that costs more than the lane has runs alone, because the alternative is that it
 * never runs. Slots are taken and given back only for tasks that hold a ticket, so they cannot leak.
 */
import { assert } from "../base/assert.ts";
import type { Instant } from "../base/time.ts";
import { adoptRate, type Bucket, fullBucket, opensAt, takeToken } from "../core/lane/bucket.ts";
import type { RateLimit } from "../core/lane/lane.ts";

/** Slots, rate and pause switch of one lane. */
export class Gate {
  concurrency: number;
  paused = false;
  #occupied = 0;
  #rate: RateLimit | undefined;
  #bucket: Bucket = { tokens: 0, at: 0 };

  constructor(concurrency: number, rate: RateLimit | undefined) {
    this.concurrency = concurrency;
    this.#rate = rate;
    if (rate !== undefined) this.#bucket = fullBucket(rate);
  }

  /** Slots taken. */
  get occupied(): number {
    return this.#occupied;
  }

  get rate(): RateLimit | undefined {
    return this.#rate;
  }

  /** Whether there are slots for `cost`. */
  fits(cost: number): boolean {
    return this.#occupied === 0 || this.#occupied + cost <= this.concurrency;
  }

  /** From when the rate lets the next task through; 0 without a rate. */
  get opensAt(): Instant {
    return this.#rate === undefined ? 0 : opensAt(this.#rate, this.#bucket);
  }

  /** Spends one token at `at`. */
  spend(at: Instant): void {
    if (this.#rate !== undefined) this.#bucket = takeToken(this.#rate, this.#bucket, at);
  }

  /** Takes slots, whether they are free or not: after a restart the tasks are as they are. */
  occupy(cost: number): void {
    this.#occupied += cost;
  }

  vacate(cost: number): void {
    this.#occupied -= cost;
    assert(this.#occupied >= 0, "a lane gave back more slots than it had given");
  }

  /** A new rate; tokens already saved are kept up to the new burst. */
  changeRate(rate: RateLimit | undefined): void {
    if (rate !== undefined) {
      this.#bucket = this.#rate === undefined ? fullBucket(rate) : adoptRate(rate, this.#bucket);
    }
    this.#rate = rate;
  }
}
