/**
 * An ordered key-value store, the only thing the journal asks of a disk. Keys and values are bytes, order is
 * unsigned lexicographic. Three adapters pass one conformance suite: RocksDB, LevelDB, and an in-memory twin.
 */
import type { WriteFrame } from "../base/write-frame.ts";

/** Change `value`, or delete when it is undefined. */
export interface Write {
  readonly key: Uint8Array;
  readonly value: Uint8Array | undefined;
}

/** Keys `from` ≤ key < `to`. */
export interface KeyRange {
  readonly from: Uint8Array;
  readonly to: Uint8Array;
}

export interface Entry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** A page of a range read. */
export interface RangeOptions {
  /** Most entries to return. Default 1,000. */
  readonly limit?: number;
  /** Largest keys first. */
  readonly reverse?: boolean;
}

/**
 * Guarantees every adapter gives:
 * - `write` is atomic and, once resolved, durable (fsync) and visible to every later read.
 * - Writes are applied in call order; a second call may be made before the first resolves.
 * - `write` has taken keys and values when it returns; the caller may reuse their memory at once.
 * - After the first failed write every later write rejects with the same fault (`STORE_FAILED`, or `DATA_LOSS` when the
 *   store found its own files damaged); nothing is retried. Re-open to recover.
 * - Reads see all resolved writes and may see pending ones.
 * - One process at a time: a second open is refused with `STORE_LOCKED`; a foreign directory with `STORE_FORMAT`.
 * - `close` waits for pending writes, is idempotent, and later calls reject.
 */
export interface OrderedStore {
  /** Applies all writes in one synced batch; for one key the last write wins. A frame is the store's from then on. */
  write(batch: readonly Write[] | WriteFrame): Promise<void>;
  get(key: Uint8Array): Promise<Uint8Array | undefined>;
  /** Entries of a range, in order; ask again from the last key's successor for the next page. */
  range(range: KeyRange, options?: RangeOptions): Promise<readonly Entry[]>;
  /** Deletes a range in one durable step. */
  deleteRange(range: KeyRange): Promise<void>;
  /** Approximate bytes on disk (or in memory). */
  sizeBytes(): Promise<number>;
  close(): Promise<void>;
}

/**
 * A tiny durable cell beside the store, in a file of its own, double-slotted and checksummed. The journal keeps its
 * high-water mark there, so that a silently truncated store is noticed. `save` may lag behind; it never goes back.
 */
export interface Mark {
  load(): Promise<bigint | undefined>;
  save(value: bigint): Promise<void>;
  close(): Promise<void>;
}
