/**
 * A store read ahead of its reader: ranges fetched in one go, and every question about them answered from memory. At a
 * start the runs that are open lie side by side, and asking for each by itself kept two threads waiting for each other.
 * What lies outside of the fetched ranges goes to the store, so it never gives another answer than the store would.
 * Readers that cannot wait ask what is known by now.
 */
import { compareBytes } from "../base/bytes.ts";
import type { Entry, KeyRange, OrderedStore, RangeOptions } from "../ports/store.ts";

/** The reading half of a store. */
export type ReadableStore = Pick<OrderedStore, "get" | "range">;

interface Fetched extends KeyRange {
  readonly entries: readonly Entry[];
  /** Where the latest question led; questions mostly come in order. */
  hint: number;
}

/** Entries looked at after the hint before searching all. */
const STEPS = 4;

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
      const isAll = last === undefined || entries.length < limit;
      return { from, to: isAll ? to : last.key, entries, hint: 0 };
    });
    return new ReadAhead(store, await Promise.all(fetched));
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    const found = this.#covering(key);
    if (found === undefined) return this.#store.get(key);
    const entry = found.entries[firstNotBefore(found, key)];
    return entry !== undefined && compareBytes(entry.key, key) === 0 ? entry.value : undefined;
  }

  async range(range: KeyRange, options: RangeOptions = {}): Promise<readonly Entry[]> {
    const known = options.reverse ? undefined : this.entries(range);
    return known?.slice(0, options.limit ?? 1_000) ?? this.#store.range(range, options);
  }

  /** Whether it is known that a range is empty. */
  lacks(range: KeyRange): boolean {
    return this.entries(range)?.length === 0;
  }

  /** All entries of a range; undefined when not all are known. */
  entries(range: KeyRange): readonly Entry[] | undefined {
    const found = this.#covering(range.from);
    if (found === undefined || compareBytes(range.to, found.to) > 0) return undefined;
    const from = firstNotBefore(found, range.from);
    return found.entries.slice(from, firstNotBefore(found, range.to));
  }

  #covering(key: Uint8Array): Fetched | undefined {
    return this.#fetched.find(
      ({ from, to }) => compareBytes(key, from) >= 0 && compareBytes(key, to) < 0,
    );
  }
}

/** Index of the first entry whose key is not before `key`. */
function firstNotBefore(fetched: Fetched, key: Uint8Array): number {
  const { entries, hint } = fetched;
  const isBefore = (at: number): boolean => compareBytes((entries[at] as Entry).key, key) < 0;
  const isAfterHint = hint === 0 || isBefore(hint - 1);
  for (let at = hint; isAfterHint && at < Math.min(hint + STEPS, entries.length); at++) {
    if (isBefore(at)) continue;
    fetched.hint = at;
    return at;
  }
  let low = isAfterHint ? Math.min(hint + STEPS, entries.length) : 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isBefore(middle)) low = middle + 1;
    else high = middle;
  }
  fetched.hint = low;
  return low;
}
