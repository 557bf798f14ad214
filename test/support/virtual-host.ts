/**
 * A host whose time stands still until a test moves it. Timers fire in order of their due time, then of their setting;
 * deferred work runs before any timer, as the port promises. Between two of them promises are allowed to settle.
 */
import { createHash } from "node:crypto";
import type { RunId } from "../../src/base/ids.ts";
import type { Instant, Millis } from "../../src/base/time.ts";
import type { Host, TimerHandle } from "../../src/ports/host.ts";

interface Timer {
  readonly dueAt: Instant;
  readonly order: number;
  readonly run: () => void;
}

export class VirtualHost implements Host {
  readonly #timers = new Set<Timer>();
  readonly #deferred: (() => void)[] = [];
  #now: Instant = 1_800_000_000_000;
  #order = 0;

  now(): Instant {
    return this.#now;
  }

  notBefore(instant: Instant): void {
    this.#now = Math.max(this.#now, instant);
  }

  elapsedMs(): Millis {
    return this.#now;
  }

  setTimer(delayMs: Millis, run: () => void): TimerHandle {
    const timer = { dueAt: this.#now + delayMs, order: this.#order++, run };
    this.#timers.add(timer);
    return { cancel: () => void this.#timers.delete(timer) };
  }

  defer(run: () => void): void {
    this.#deferred.push(run);
  }

  random(): number {
    return 0.5;
  }

  newRunId(): RunId {
    return `01JD${String(this.#order++).padStart(22, "0")}` as RunId;
  }

  randomHex(bytes: number): string {
    return "5a".repeat(bytes);
  }

  sha256(data: string | Uint8Array): string {
    return createHash("sha256").update(data).digest("hex");
  }

  /** Timers that are set. */
  get timers(): number {
    return this.#timers.size;
  }

  /** Runs everything that needs no time. */
  async settle(): Promise<void> {
    do {
      this.#deferred.shift()?.();
      await new Promise((resolve) => setImmediate(resolve));
    } while (this.#deferred.length > 0);
  }

  /** Lets `durationMs` pass. */
  async advance(durationMs: Millis): Promise<void> {
    const until = this.#now + durationMs;
    await this.settle();
    for (let timer = this.#next(until); timer !== undefined; timer = this.#next(until)) {
      this.#timers.delete(timer);
      this.#now = timer.dueAt;
      timer.run();
      await this.settle();
    }
    this.#now = until;
  }

  #next(until: Instant): Timer | undefined {
    return [...this.#timers]
      .filter(({ dueAt }) => dueAt <= until)
      .sort((a, b) => a.dueAt - b.dueAt || a.order - b.order)[0];
  }
}
