/**
 * Everything one side of a conversation has said, to be waited for. A case takes what it expects and leaves the rest,
 * so that probes and progress in between do not disturb it; what was never taken is there to be judged at the end. The
 * waits are the only place where a kit's patience ends, and they say what was missing and what came instead.
 */
import type { Millis } from "../base/time.ts";
import { type Clock, Unmet } from "./verdicts.ts";

/** How many of the latest items a failure shows. */
const SHOWN = 12;
const TEXT_MAX = 240;

/** Answers with something when an item is the one, else undefined. */
export type Pick<T, R> = (item: T) => R | undefined;

export class Inbox<T> {
  readonly #clock: Clock;
  readonly #describe: (item: T) => string;
  readonly #untaken: T[] = [];
  readonly #latest: string[] = [];
  readonly #waiting = new Set<() => void>();

  constructor(clock: Clock, describe: (item: T) => string) {
    this.#clock = clock;
    this.#describe = describe;
  }

  push(item: T): void {
    this.#untaken.push(item);
    this.#latest.push(this.#describe(item).slice(0, TEXT_MAX));
    if (this.#latest.length > SHOWN) this.#latest.shift();
    for (const look of [...this.#waiting]) look();
  }

  /** Takes the first item that `pick` answers for, if it is there already. */
  takeNow<R>(pick: Pick<T, R>): R | undefined {
    for (const [at, item] of this.#untaken.entries()) {
      const found = pick(item);
      if (found === undefined) continue;
      this.#untaken.splice(at, 1);
      return found;
    }
    return undefined;
  }

  /** Takes the first item that `pick` answers for; throws {@link Unmet} when it does not come in time. */
  take<R>(pick: Pick<T, R>, expected: string, withinMs: Millis): Promise<R> {
    return new Promise((resolve, reject) => {
      const look = () => {
        const found = this.takeNow(pick);
        if (found === undefined) return;
        patience.cancel();
        this.#waiting.delete(look);
        resolve(found);
      };
      const patience = this.#clock.setTimer(withinMs, () => {
        this.#waiting.delete(look);
        reject(new Unmet(`${expected} within ${withinMs} ms`, this.latest()));
      });
      this.#waiting.add(look);
      look();
    });
  }

  /** Forgets what was not taken. */
  clear(): void {
    this.#untaken.length = 0;
  }

  /** The latest items as text, taken or not. */
  latest(): string {
    return this.#latest.length === 0 ? "nothing" : this.#latest.join("; ");
  }
}

/** Resolves after a while; for silences that are part of a play. */
export function pause(clock: Clock, delayMs: Millis): Promise<void> {
  return new Promise((resolve) => {
    clock.setTimer(delayMs, resolve);
  });
}
