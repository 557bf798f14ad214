/**
 * The median of the latest durations of one agent, for the hot path of a plan. A small ring instead of a streaming
 * estimate (P²), because it is exact over what it holds and forgets an agent's old speed after a reload. Recording is a
 * store; sorting happens only when somebody asks, and only once per new value.
 */
import type { Millis } from "../base/time.ts";

const KEPT = 64;

/** The last 64 durations. */
export class RecentDurations {
  readonly #ring = new Float64Array(KEPT);
  #recorded = 0;
  #median: Millis | undefined;

  record(durationMs: Millis): void {
    this.#ring[this.#recorded % KEPT] = durationMs;
    this.#recorded++;
    this.#median = undefined;
  }

  /** Upper median of what is kept; undefined before the first record. */
  medianMs(): Millis | undefined {
    if (this.#median === undefined && this.#recorded > 0) {
      const kept = this.#ring.slice(0, Math.min(this.#recorded, KEPT)).sort();
      this.#median = kept[kept.length >> 1];
    }
    return this.#median;
  }
}
