/**
 * The real world behind the `Host` port, and the only file of the daemon that touches ambient time, timers and
 * randomness. Engine time is the wall clock read once at construction plus monotonic time since, so a jump of the
 * system clock moves nothing. Timers keep the process alive while they are set: a program that embeds the engine and
 * waits for a retry must not end in between. `close` cancels every one, and a closed host sets no new ones.
 */
import { createHash, randomFillSync } from "node:crypto";
import { monotonicFactory } from "ulid";
import type { RunId } from "../base/ids.ts";
import type { Instant, Millis } from "../base/time.ts";
import type { Host, TimerHandle } from "../ports/host.ts";

/** Longest delay `setTimeout` takes; a longer one fires at once (Node.js documentation, "Timers"). */
const TIMEOUT_MAX_MS: Millis = 2 ** 31 - 1;

/** Random bytes fetched at a time: a call into the crypto library costs more than the bytes. */
const POOL_BYTES = 16 * 1024;

/** The clock, timers and randomness of this process. */
export class SystemHost implements Host {
  readonly #wallAtStart: Instant = Date.now();
  readonly #monotonicAtStart: Millis = performance.now();
  /** How far engine time is ahead of the clock, when the clock went back between two lives. */
  #aheadMs: Millis = 0;
  readonly #timers = new Set<SystemTimer>();
  readonly #pool = Buffer.alloc(POOL_BYTES);
  #poolLeft = 0;
  readonly #nextUlid = monotonicFactory(() => this.#randomByte() / 256);
  #deferred = 0;
  #closed = false;

  now(): Instant {
    return this.#wallAtStart + (performance.now() - this.#monotonicAtStart) + this.#aheadMs;
  }

  notBefore(instant: Instant): void {
    this.#aheadMs += Math.max(0, instant - this.now());
  }

  elapsedMs(): Millis {
    return performance.now();
  }

  setTimer(delayMs: Millis, run: () => void): TimerHandle {
    const timer = new SystemTimer(this.elapsedMs() + delayMs, this, () => {
      this.#timers.delete(timer);
      run();
    });
    if (this.#closed) return timer;
    this.#timers.add(timer);
    timer.arm();
    return timer;
  }

  defer(run: () => void): void {
    this.#deferred++;
    setImmediate(() => {
      this.#deferred--;
      run();
    });
  }

  /** Whether deferred work is waiting; a due timer lets it go first. */
  get hasDeferred(): boolean {
    return this.#deferred > 0;
  }

  random(): number {
    return Math.random();
  }

  newRunId(): RunId {
    return this.#nextUlid(Math.floor(this.now())) as RunId;
  }

  randomHex(bytes: number): string {
    const to = this.#take(bytes);
    return this.#pool.toString("hex", to - bytes, to);
  }

  sha256(data: string | Uint8Array): string {
    return createHash("sha256").update(data).digest("hex");
  }

  /** Cancels all timers, so that nothing of a closed engine keeps the process alive. Idempotent. */
  close(): void {
    this.#closed = true;
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
  }

  /** Forgets a timer that was cancelled. */
  forget(timer: SystemTimer): void {
    this.#timers.delete(timer);
  }

  #randomByte(): number {
    return this.#pool[this.#take(1) - 1] ?? 0;
  }

  /** Where `bytes` unused bytes of the pool end. */
  #take(bytes: number): number {
    if (this.#poolLeft < bytes) {
      randomFillSync(this.#pool);
      this.#poolLeft = POOL_BYTES;
    }
    const to = this.#poolLeft;
    this.#poolLeft -= bytes;
    return to;
  }
}

/** One timer: as many `setTimeout`s in a row as its delay needs, never early by the monotonic clock. */
class SystemTimer implements TimerHandle {
  readonly #dueAt: Millis;
  readonly #host: SystemHost;
  #fire: (() => void) | undefined;
  #timeout: NodeJS.Timeout | undefined;

  constructor(dueAt: Millis, host: SystemHost, fire: () => void) {
    this.#dueAt = dueAt;
    this.#host = host;
    this.#fire = fire;
  }

  arm(): void {
    const leftMs = Math.ceil(this.#dueAt - this.#host.elapsedMs());
    this.#timeout = setTimeout(() => this.#ring(), Math.min(Math.max(leftMs, 0), TIMEOUT_MAX_MS));
  }

  cancel(): void {
    this.#fire = undefined;
    clearTimeout(this.#timeout);
    this.#host.forget(this);
  }

  /** Node's timers count whole milliseconds and may ring a fraction early: then the rest is waited for. */
  #ring(): void {
    if (this.#fire === undefined) return;
    if (this.#host.elapsedMs() < this.#dueAt) this.arm();
    else if (this.#host.hasDeferred) setImmediate(() => this.#ring());
    else {
      const fire = this.#fire;
      this.#fire = undefined;
      fire();
    }
  }
}
