/**
 * The simulated network between workers and the daemon. A stream is two pipes: each keeps its own order and has its own
 * delays, so streams overtake each other. A stream may be cut (both sides learn it, at different times, and what was on its
 * way is lost) or go half-open (everything vanishes and nobody is told until somebody's patience ends).
 */
import type { Prng } from "../../src/base/hash.ts";
import type { Instant, Millis } from "../../src/base/time.ts";
import type { Schedule } from "./time.ts";

/** One direction of a stream. */
class Pipe {
  readonly #schedule: Schedule;
  readonly #delayMs: () => Millis;
  #lastAt: Instant = 0;
  isBroken = false;

  constructor(schedule: Schedule, delayMs: () => Millis) {
    this.#schedule = schedule;
    this.#delayMs = delayMs;
  }

  /** Delivers after everything that was sent before. */
  send(deliver: () => void): void {
    const { now } = this.#schedule;
    this.#lastAt = Math.max(this.#lastAt, now + this.#delayMs());
    this.#schedule.setTimer(this.#lastAt - now, () => {
      if (!this.isBroken) deliver();
    });
  }
}

export class Stream {
  readonly toEngine: Pipe;
  readonly toWorker: Pipe;
  readonly #schedule: Schedule;
  readonly #random: Prng;
  /** What each side does when it learns of the end. */
  onEngineEnd = (): void => {};
  onWorkerEnd = (): void => {};

  constructor(schedule: Schedule, random: Prng, longestMs: Millis) {
    this.#schedule = schedule;
    this.#random = random;
    const delayMs = () => Math.floor(random() * longestMs);
    this.toEngine = new Pipe(schedule, delayMs);
    this.toWorker = new Pipe(schedule, delayMs);
  }

  get isBroken(): boolean {
    return this.toEngine.isBroken;
  }

  /** Ends the stream; each side learns it within `withinMs`. */
  cut(withinMs: Millis): void {
    if (this.isBroken) return;
    this.toEngine.isBroken = true;
    this.toWorker.isBroken = true;
    const soon = () => Math.floor(this.#random() * withinMs);
    this.#schedule.setTimer(soon(), () => this.onEngineEnd());
    this.#schedule.setTimer(soon(), () => this.onWorkerEnd());
  }
}
