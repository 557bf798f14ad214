/**
 * A binary min-heap whose entries can be removed before they reach the top, in O(log n). Timers and lane queues are
 * built on it: a cancelled task leaves its queue at once instead of lingering as a tombstone. The order must be total
 * (break ties by a sequence number), otherwise replay could differ from the first run.
 */
import { assert } from "./assert.ts";

/** What a heap entry must offer: a place for the heap to keep its index. `-1` means "in no heap". */
export interface HeapEntry {
  heapIndex: number;
}

/** Min-heap by `before(a, b)`; an entry may be in one heap at a time. */
export class Heap<T extends HeapEntry> {
  readonly #before: (a: T, b: T) => boolean;
  readonly #entries: T[] = [];

  constructor(before: (a: T, b: T) => boolean) {
    this.#before = before;
  }

  get size(): number {
    return this.#entries.length;
  }

  /** The smallest entry, or `undefined` when empty. */
  peek(): T | undefined {
    return this.#entries[0];
  }

  /** Adds an entry that is in no heap. */
  push(entry: T): void {
    assert(entry.heapIndex === -1, "the entry is already in a heap");
    entry.heapIndex = this.#entries.length;
    this.#entries.push(entry);
    this.#rise(entry.heapIndex);
  }

  /** Removes and returns the smallest entry. */
  pop(): T | undefined {
    const top = this.#entries[0];
    if (top !== undefined) this.remove(top);
    return top;
  }

  /** Removes `entry` wherever it is; returns false when it is in no heap. */
  remove(entry: T): boolean {
    const at = entry.heapIndex;
    if (at === -1) return false;
    assert(this.#entries[at] === entry, "the entry belongs to another heap");
    const last = this.#entries.pop();
    entry.heapIndex = -1;
    if (last === undefined || last === entry) return true;
    this.#entries[at] = last;
    last.heapIndex = at;
    this.#rise(at);
    this.#sink(last.heapIndex);
    return true;
  }

  /** Restores the order after the key of `entry` changed. */
  update(entry: T): void {
    if (entry.heapIndex === -1) return;
    this.#rise(entry.heapIndex);
    this.#sink(entry.heapIndex);
  }

  /** Entries in no particular order; do not change the heap while iterating. */
  values(): IterableIterator<T> {
    return this.#entries.values();
  }

  #rise(from: number): void {
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#swapIfBefore(at, parent)) return;
      at = parent;
    }
  }

  #sink(from: number): void {
    let at = from;
    for (;;) {
      const left = 2 * at + 1;
      if (left >= this.#entries.length) return;
      const right = left + 1;
      const leftEntry = this.#entries[left] as T;
      const rightEntry = this.#entries[right];
      const child = rightEntry !== undefined && this.#before(rightEntry, leftEntry) ? right : left;
      if (!this.#swapIfBefore(child, at)) return;
      at = child;
    }
  }

  #swapIfBefore(child: number, parent: number): boolean {
    const low = this.#entries[child] as T;
    const high = this.#entries[parent] as T;
    if (!this.#before(low, high)) return false;
    this.#entries[parent] = low;
    this.#entries[child] = high;
    low.heapIndex = parent;
    high.heapIndex = child;
    return true;
  }
}
