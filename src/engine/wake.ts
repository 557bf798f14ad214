/**
 * The writer loop's own alarm clock. A rate limiter opens by the clock alone, with no command to say so, and then the
 * loop must turn once. Only the earliest wish is kept: the turn it causes asks for the next.
 */
import type { Instant } from "../base/time.ts";
import type { Host, TimerHandle } from "../ports/host.ts";

/** At most one alarm, the earliest asked for. */
export class Wake {
  readonly #host: Pick<Host, "now" | "setTimer">;
  readonly #ring: () => void;
  #timer: TimerHandle | undefined;
  #dueAt = Number.POSITIVE_INFINITY;

  constructor(host: Pick<Host, "now" | "setTimer">, ring: () => void) {
    this.#host = host;
    this.#ring = ring;
  }

  /** Rings once `opensAt` has passed, unless it rings earlier anyway. */
  noLaterThan(opensAt: Instant): void {
    if (opensAt >= this.#dueAt) return;
    // A batch has a whole instant: one that begins before the next whole one would still find the lane closed.
    const next = Math.ceil(opensAt);
    this.#timer?.cancel();
    this.#dueAt = next;
    this.#timer = this.#host.setTimer(Math.max(0, next - this.#host.now()), () => {
      this.#dueAt = Number.POSITIVE_INFINITY;
      this.#ring();
    });
  }

  cancel(): void {
    this.#timer?.cancel();
  }
}
