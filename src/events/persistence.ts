/**
 * Trying again until it works: for work that may fail for as long as the other side is down and must not be given up.
 * Waits double from the first to the longest, with jitter so that many daemons do not come back at one instant, and end
 * at once when the owner stops. A series of failures is one warning and one line when it is over.
 */
import type { Millis } from "../base/time.ts";
import type { Host } from "../ports/host.ts";
import type { Logger } from "../ports/telemetry.ts";

export interface PersistenceOptions {
  /** Wait after the first failure. */
  readonly backoffMs: Millis;
  /** Longest wait. */
  readonly backoffMaxMs: Millis;
}

/** Repeats attempts of one owner, one at a time. */
export class Persistence {
  readonly #options: PersistenceOptions;
  readonly #host: Host;
  readonly #log: Logger;
  #stopped = false;
  #endPause: () => void = () => {};

  constructor(options: PersistenceOptions, deps: { readonly host: Host; readonly log: Logger }) {
    this.#options = options;
    this.#host = deps.host;
    this.#log = deps.log;
  }

  /** Calls `act` until it resolves and returns its value, or `undefined` when stopped before that. */
  async insist<T>(what: string, act: () => Promise<T>): Promise<{ readonly value: T } | undefined> {
    for (let failures = 0; !this.#stopped; ) {
      try {
        const value = await act();
        if (failures > 0) this.#log.info({ failures }, `${what}: works again`);
        return { value };
      } catch (error) {
        if (this.#stopped) return undefined;
        const waitMs = this.#waitMs(failures);
        if (failures === 0)
          this.#log.warn({ error }, `${what} failed, trying again until it works`);
        else this.#log.debug({ error, failures, waitMs }, `${what} failed again`);
        failures++;
        await this.#pause(waitMs);
      }
    }
    return undefined;
  }

  /** Ends a wait; nothing is tried again. */
  stop(): void {
    this.#stopped = true;
    this.#endPause();
  }

  /** Exponential backoff with equal jitter: half of it fixed, half random (AWS Architecture Blog, 2015). */
  #waitMs(failures: number): Millis {
    const { backoffMs, backoffMaxMs } = this.#options;
    const ceilingMs = Math.min(backoffMaxMs, backoffMs * 2 ** failures);
    return (ceilingMs / 2) * (1 + this.#host.random());
  }

  async #pause(waitMs: Millis): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = this.#host.setTimer(waitMs, resolve);
      this.#endPause = () => {
        timer.cancel();
        resolve();
      };
    });
    this.#endPause = () => {};
  }
}
