/**
 * Work that is waiting on disk and done in the background: it goes on while there is some, sleeps while there is none,
 * and after a failure waits longer each time before it tries again. What the work is, it does not know.
 */
import type { Millis } from "../base/time.ts";
import type { Host, TimerHandle } from "../ports/host.ts";
import type { Logger } from "../ports/telemetry.ts";

const FIRST_WAIT_MS: Millis = 500;
const LONGEST_WAIT_MS: Millis = 60_000;

export interface RetryingDeps {
  readonly host: Host;
  readonly log: Logger;
  /** Does a part of the work; answers whether there may be more. */
  readonly work: () => Promise<boolean>;
  /** For the log: what is being done. */
  readonly what: string;
}

/** Calls `work` until there is none left, and again after each {@link notify}. */
export class Retrying {
  readonly #deps: RetryingDeps;
  #running: Promise<void> | undefined;
  #timer: TimerHandle | undefined;
  #failures = 0;
  #hasNews = false;
  #isStopped = false;

  constructor(deps: RetryingDeps) {
    this.#deps = deps;
  }

  /** Says that there is work. Cheap. */
  notify(): void {
    this.#hasNews = true;
    if (this.#isStopped || this.#timer !== undefined) return;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      if (this.#hasNews) this.notify();
    });
  }

  /** Resolves when there is no work left or the next try has to wait. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    await this.#running;
  }

  async #run(): Promise<void> {
    // Whoever notifies may be in the middle of a step.
    await Promise.resolve();
    try {
      do this.#hasNews = false;
      while (!this.#isStopped && ((await this.#deps.work()) || this.#hasNews));
      this.#failures = 0;
    } catch (error) {
      this.#hasNews = false;
      if (!this.#isStopped) this.#retryLater(error);
    }
  }

  #retryLater(error: unknown): void {
    const { host, log, what } = this.#deps;
    const waitMs = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#failures);
    if (this.#failures === 0) log.warn({ error, waitMs }, `${what} failed; it is tried again`);
    this.#failures++;
    this.#timer = host.setTimer(waitMs * (0.5 + host.random() / 2), () => {
      this.#timer = undefined;
      this.notify();
    });
  }
}
