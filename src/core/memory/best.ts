/**
 * The best few of many, in order, without sorting the rest: a heap no larger than what is asked for, with the worst kept
 * entry on top. The order must be total, so that equal inputs in any sequence give equal answers.
 */

/** A slot and its score. */
export interface Scored {
  readonly slot: number;
  readonly score: number;
}

/** Keeps the `limit` best of what it is offered. */
export class Best {
  readonly #limit: number;
  readonly #precedes: (a: number, b: number) => boolean;
  readonly #heap: Scored[] = [];

  /** @param precedes whether slot `a` comes before slot `b` at equal scores. */
  constructor(limit: number, precedes: (a: number, b: number) => boolean) {
    this.#limit = limit;
    this.#precedes = precedes;
  }

  /** The score something must at least have to be kept. */
  get bar(): number {
    return this.#heap.length < this.#limit
      ? Number.NEGATIVE_INFINITY
      : (this.#heap[0]?.score ?? Number.POSITIVE_INFINITY);
  }

  offer(slot: number, score: number): void {
    if (score < this.bar) return;
    const offered = { slot, score };
    const heap = this.#heap;
    if (heap.length < this.#limit) {
      heap.push(offered);
      this.#rise(heap.length - 1);
    } else if (this.#worse(heap[0] as Scored, offered)) {
      heap[0] = offered;
      this.#sink();
    }
  }

  /** What was kept, best first. */
  sorted(): Scored[] {
    return this.#heap.toSorted((a, b) => (this.#worse(a, b) ? 1 : -1));
  }

  #worse(a: Scored, b: Scored): boolean {
    return a.score === b.score ? this.#precedes(b.slot, a.slot) : a.score < b.score;
  }

  #rise(from: number): void {
    const heap = this.#heap;
    for (let at = from; at > 0; ) {
      const parent = (at - 1) >> 1;
      if (!this.#worse(heap[at] as Scored, heap[parent] as Scored)) return;
      this.#swap(at, parent);
      at = parent;
    }
  }

  #sink(): void {
    const heap = this.#heap;
    for (let at = 0; ; ) {
      let child = 2 * at + 1;
      if (child >= heap.length) return;
      const right = heap[child + 1];
      if (right !== undefined && this.#worse(right, heap[child] as Scored)) child++;
      if (!this.#worse(heap[child] as Scored, heap[at] as Scored)) return;
      this.#swap(at, child);
      at = child;
    }
  }

  #swap(a: number, b: number): void {
    const held = this.#heap[a] as Scored;
    this.#heap[a] = this.#heap[b] as Scored;
    this.#heap[b] = held;
  }
}
