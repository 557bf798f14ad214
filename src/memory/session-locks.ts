/**
 * Turns for sessions: whoever changes sessions holds all of them, and two holders of one session go one after the other
 * in the order they came. All places of one holder are taken in the same moment, so no two can wait for each other.
 */

/** Mutual exclusion by name. */
export class SessionLocks {
  readonly #tails = new Map<string, Promise<void>>();

  /** Runs `work` when all earlier holders of any of these sessions are done. */
  async hold<T>(sessionIds: Iterable<string>, work: () => Promise<T>): Promise<T> {
    const names = [...new Set(sessionIds)];
    const before = names.map((name) => this.#tails.get(name));
    const { promise, resolve } = Promise.withResolvers<void>();
    for (const name of names) this.#tails.set(name, promise);
    try {
      await Promise.all(before);
      return await work();
    } finally {
      for (const name of names) if (this.#tails.get(name) === promise) this.#tails.delete(name);
      resolve();
    }
  }
}
