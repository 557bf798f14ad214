/**
 * A map sorted by key: a list of sorted blocks, which is a B+-tree of two levels. Inserting moves at most one block and
 * reading a range is a walk; with a million keys a look-up is about twenty comparisons. Keys are strings compared by
 * UTF-16 unit; byte keys become strings of one unit per byte, which keeps their order.
 */

const BLOCK_MAX = 512;

interface Block<V> {
  readonly keys: string[];
  readonly values: V[];
}

/** How a range is read. */
export interface SortedRange {
  /** First key that belongs to it. */
  readonly from: string;
  /** First key after it. */
  readonly to: string;
  readonly limit?: number;
  /** Largest keys first. */
  readonly reverse?: boolean;
}

/** Sorted map with string keys. */
export class SortedMap<V> {
  /** Never empty; only the sole block of an empty map has no keys. */
  readonly #blocks: Block<V>[] = [{ keys: [], values: [] }];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(key: string): V | undefined {
    const block = this.#blocks[this.#blockOf(key)] as Block<V>;
    const at = lowerBound(block.keys, key);
    return block.keys[at] === key ? block.values[at] : undefined;
  }

  /** Inserts or replaces. */
  set(key: string, value: V): void {
    const blockAt = this.#blockOf(key);
    const block = this.#blocks[blockAt] as Block<V>;
    const at = lowerBound(block.keys, key);
    if (block.keys[at] === key) {
      block.values[at] = value;
      return;
    }
    block.keys.splice(at, 0, key);
    block.values.splice(at, 0, value);
    this.#size++;
    if (block.keys.length > BLOCK_MAX) this.#split(blockAt, block);
  }

  /** Returns whether the key was there. */
  delete(key: string): boolean {
    const blockAt = this.#blockOf(key);
    const block = this.#blocks[blockAt] as Block<V>;
    const at = lowerBound(block.keys, key);
    if (block.keys[at] !== key) return false;
    this.#cut(blockAt, at, at + 1);
    return true;
  }

  /** Deletes keys from `from` up to, not including, `to`; returns how many. */
  deleteRange(from: string, to: string): number {
    const before = this.#size;
    let blockAt = this.#blockOf(from);
    for (;;) {
      const block = this.#blocks[blockAt];
      if (block === undefined || (block.keys[0] ?? to) >= to) return before - this.#size;
      const emptied = this.#cut(blockAt, lowerBound(block.keys, from), lowerBound(block.keys, to));
      if (!emptied) blockAt++;
    }
  }

  /** Entries of a range in the asked order. Do not change the map while walking. */
  *range(options: SortedRange): Generator<readonly [key: string, value: V]> {
    const { from, to, limit = Number.POSITIVE_INFINITY, reverse = false } = options;
    const step = reverse ? -1 : 1;
    let left = limit;
    for (let blockAt = this.#blockOf(reverse ? to : from); left > 0; blockAt += step) {
      const block = this.#blocks[blockAt];
      if (block === undefined) return;
      const first = lowerBound(block.keys, from);
      const end = lowerBound(block.keys, to);
      for (let at = reverse ? end - 1 : first; at >= first && at < end && left > 0; at += step) {
        left--;
        yield [block.keys[at] as string, block.values[at] as V];
      }
      if (reverse ? first > 0 : end < block.keys.length) return;
    }
  }

  /** Index of the block that holds `key` or would hold it. */
  #blockOf(key: string): number {
    let low = 0;
    let high = this.#blocks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (((this.#blocks[middle] as Block<V>).keys[0] as string) <= key) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #split(blockAt: number, block: Block<V>): void {
    const half = block.keys.length >> 1;
    const upper = { keys: block.keys.splice(half), values: block.values.splice(half) };
    this.#blocks.splice(blockAt + 1, 0, upper);
  }

  /** Removes a slice of a block; returns whether the block went with it. */
  #cut(blockAt: number, from: number, to: number): boolean {
    const block = this.#blocks[blockAt] as Block<V>;
    block.keys.splice(from, to - from);
    block.values.splice(from, to - from);
    this.#size -= to - from;
    if (block.keys.length > 0 || this.#blocks.length === 1) return false;
    this.#blocks.splice(blockAt, 1);
    return true;
  }
}

/** Index of the first key that is not before `key`. */
function lowerBound(keys: readonly string[], key: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((keys[middle] as string) < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
