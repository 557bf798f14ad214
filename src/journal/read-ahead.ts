/**
 * A store read ahead of its reader: ranges fetched in one go, and every question about them answered from memory. At a
 * start the runs that are open lie side by side, and asking for each by itself kept two threads waiting for each other.
 * What lies outside of the fetched ranges goes to the store, so it never gives another answer than the store would.
 */
import { compareBytes } from "../base/bytes.ts";
import type { Entry, KeyRange, OrderedStore, RangeOptions } from "../ports/store.ts";

/** The reading half of a store. */
export type ReadableStore = Pick<OrderedStore, "get" | "range">;

interface Fetched extends KeyRange {
  readonly entries: readonly Entry[];
}

/** Reads of a store, some of them fetched before. */
export class ReadAhead implements ReadableStore {
  readonly #store: ReadableStore;
  readonly #fetched: readonly Fetched[];

  private constructor(store: ReadableStore, fetched: readonly Fetched[]) {
    this.#store = store;
    this.#fetched = fetched;
  }

  /** Fetches at most `limit` entries of each range; what a range has beyond that is asked for when it is needed. */
  static async of(
    store: ReadableStore,
    ranges: readonly KeyRange[],
    limit: number,
  ): Promise<ReadAhead> {
    const fetched = ranges.map(async ({ from, to }): Promise<Fetched> => {
      const entries = await store.range({ from, to }, { limit });
      const last = entries.at(-1);
      return { from, to: last === undefined || entries.length < limit ? to : last.key, entries };
    });
    return new ReadAhead(store, await Promise.all(fetched));
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    const found = this.#covering(key);
    if (found === undefined) return this.#store.get(key);
    const entry = found.entries[firstNotBefore(found.entries, key)];
    return entry !== undefined && compareBytes(entry.key, key) === 0 ? entry.value : undefined;
  }

  async range(range: KeyRange, options: RangeOptions = {}): Promise<readonly Entry[]> {
    const found = this.#covering(range.from);
    if (found === undefined || options.reverse || compareBytes(range.to, found.to) > 0) {
      return this.#store.range(range, options);
    }
    const from = firstNotBefore(found.entries, range.from);
    const to = firstNotBefore(found.entries, range.to);
    return found.entries.slice(from, Math.min(to, from + (options.limit ?? 1_000)));
  }

  #covering(key: Uint8Array): Fetched | undefined {
    return this.#fetched.find(
      ({ from, to }) => compareBytes(key, from) >= 0 && compareBytes(key, to) < 0,
    );
  }
}

/** Index of the first entry whose key is not before `key`. */
function firstNotBefore(entries: readonly Entry[], key: Uint8Array): number {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareBytes((entries[middle] as Entry).key, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
