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

  /** Moves an entry towards the top: others make way, and it is written once, where it stays. */
  #rise(from: number): void {
    const entries = this.#entries;
    const entry = entries[from] as T;
    let at = from;
    while (at > 0) {
      const up = (at - 1) >> 1;
      const parent = entries[up] as T;
      if (!this.#before(entry, parent)) break;
      entries[at] = parent;
      parent.heapIndex = at;
      at = up;
    }
    entries[at] = entry;
    entry.heapIndex = at;
  }

  /** Moves an entry towards the leaves, likewise. */
  #sink(from: number): void {
    const entries = this.#entries;
    const entry = entries[from] as T;
    let at = from;
    for (let down = 2 * at + 1; down < entries.length; down = 2 * at + 1) {
      const right = entries[down + 1];
      if (right !== undefined && this.#before(right, entries[down] as T)) down++;
      const child = entries[down] as T;
      if (!this.#before(child, entry)) break;
      entries[at] = child;
      child.heapIndex = at;
      at = down;
    }
    entries[at] = entry;
    entry.heapIndex = at;
  }
}
