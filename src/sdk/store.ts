/**
 * Where an embedded engine keeps its journal, as the words of the configuration. Nothing is opened here.
 */

/** A store to be opened with the engine. */
export interface StoreChoice {
  readonly store: "auto" | "rocksdb" | "leveldb" | "memory";
  readonly data?: string;
}

/** RocksDB in a directory, which is created when absent and locked while open. */
export function rocksdb(directory: string): StoreChoice {
  return { store: "rocksdb", data: directory };
}

/** LevelDB in a directory, for platforms without the RocksDB binary. */
export function leveldb(directory: string): StoreChoice {
  return { store: "leveldb", data: directory };
}

/** Nothing is kept: runs end with the process. */
export function memory(): StoreChoice {
  return { store: "memory" };
}
