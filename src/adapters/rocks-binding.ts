/**
 * The one importer of the RocksDB package. It uses the package's native functions directly: they are synchronous,
 * which is what a thread of its own wants, and the wrapper above them (abstract-level) costs more per key than RocksDB
 * does. The package is pinned to an exact version because these functions are not its public interface.
 */
import { createRequire } from "node:module";

declare const handle: unique symbol;
type Handle<Name extends string> = { readonly [handle]: Name };

export type Database = Handle<"database">;
export type Batch = Handle<"batch">;
export type Iterator = Handle<"iterator">;

type Callback = (error: Error | null | undefined) => void;

/** Rows are keys and values in turn. */
export interface Rows {
  readonly rows: readonly Uint8Array[];
  readonly finished: boolean;
}

/** The native functions in use. Errors are thrown, or go to the callback; a held lock has code `LEVEL_LOCKED`. */
export interface RocksBinding {
  db_init(location: string): Database;
  db_open(database: Database, options: object, callback: Callback): void;
  db_close(database: Database, callback: Callback): void;
  db_get_many_sync(
    database: Database,
    keys: readonly Uint8Array[],
    options: object,
  ): (Uint8Array | undefined)[];
  batch_init(): Batch;
  batch_put(batch: Batch, key: Uint8Array, value: Uint8Array, options: undefined): void;
  batch_del(batch: Batch, key: Uint8Array, options: undefined): void;
  batch_clear(batch: Batch): void;
  batch_write(database: Database, batch: Batch, options: { readonly sync: boolean }): void;
  iterator_init(database: Database, options: object): Iterator;
  iterator_nextv_sync(iterator: Iterator, size: number): Rows;
  iterator_close(iterator: Iterator): void;
}

/** Loads the native library; throws where none exists, and aborts the process where it does not fit the machine. */
export function loadRocks(): RocksBinding {
  return createRequire(import.meta.url)("@nxtedition/rocksdb/binding.js") as RocksBinding;
}
