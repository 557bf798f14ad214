/**
 * A place to wait until somebody says that something changed. Whoever waits looks again at the state itself, so a wake
 * that comes too early or twice does no harm; one that comes while nobody waits is forgotten.
 */
import type { Host } from "../ports/host.ts";

/** Wakes everyone who waits. */
export class Gate {
  #waiting: (() => void)[] = [];

  /** Resolves at the next {@link open}. */
  wait(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  open(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}

/** Resolves after the work queued so far. */
export function turn(host: Pick<Host, "defer">): Promise<void> {
  return new Promise((resolve) => {
    host.defer(resolve);
  });
}
