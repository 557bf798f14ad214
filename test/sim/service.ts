/**
 * The world outside, as agents change it: a service that carries out an effect once per idempotency key, as a payment
 * provider does. It proves that all attempts of a task carry one key, that no two tasks share one, and that every task
 * that completed has had its effect exactly once. It outlives every process.
 */

/** A key with what was done under it. */
interface Effect {
  readonly task: string;
  requests: number;
}

export class ExternalService {
  readonly #byKey = new Map<string, Effect>();
  readonly #byTask = new Map<string, string>();
  readonly #complain: (message: string) => void;

  constructor(complain: (message: string) => void) {
    this.#complain = complain;
  }

  /** An attempt of `task` (`run/task`) asks for its effect; asking again under the key changes nothing. */
  request(key: string, task: string): void {
    const known = this.#byKey.get(key);
    if (known === undefined) {
      this.#byKey.set(key, { task, requests: 1 });
      const other = this.#byTask.get(task);
      if (other !== undefined) this.#complain(`task ${task} had effects under two keys`);
      this.#byTask.set(task, key);
      return;
    }
    known.requests++;
    if (known.task !== task) {
      this.#complain(`tasks ${known.task} and ${task} share the idempotency key ${key}`);
    }
  }

  /** Whether a task has had its effect. */
  has(task: string): boolean {
    return this.#byTask.has(task);
  }
}
