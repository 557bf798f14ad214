/**
 * The world as the engine sees it: time, timers, randomness, identity. One adapter touches the ambient ones, the
 * simulator brings its own, so the whole engine runs on virtual time.
 */
import type { RunId } from "../base/ids.ts";
import type { Instant, Millis } from "../base/time.ts";

/** A timer that has been set. Cancelling twice, or after it fired, does nothing. */
export interface TimerHandle {
  cancel(): void;
}

/**
 * Guarantees: `now` never goes back while the process lives and does not follow jumps of the system clock (it is the
 * wall time at start plus monotonic time since); timers never fire early by that clock and never synchronously;
 * run ids sort by creation.
 */
export interface Host {
  /** Engine time, milliseconds since the Unix epoch. */
  now(): Instant;
  /** Moves engine time forward to `instant` if it is behind, because an earlier life has already been there. */
  notBefore(instant: Instant): void;
  /** Monotonic time with sub-millisecond resolution, for measuring only. */
  elapsedMs(): Millis;
  /** Calls `run` once, `delayMs` (up to a year) from now. */
  setTimer(delayMs: Millis, run: () => void): TimerHandle;
  /** Calls `run` after the work queued so far, before any timer. */
  defer(run: () => void): void;
  /** Uniform in [0, 1). */
  random(): number;
  /** A new ULID. */
  newRunId(): RunId;
  /** `bytes` random bytes in lower-case hex. */
  randomHex(bytes: number): string;
  /** SHA-256 of UTF-8 text or bytes, lower-case hex. */
  sha256(data: string | Uint8Array): string;
}
