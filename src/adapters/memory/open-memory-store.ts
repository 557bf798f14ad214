/**
 * Where the memory lies on disk: a store of its own beside the journal's, written by the same engine. So a damaged or
 * erased memory never touches a run, the journal's start does not read it, and each can be backed up by itself.
 */
import { join } from "node:path";
import type { OrderedStore } from "../../ports/store.ts";
import { LevelStore } from "../level-store.ts";
import type { StoreEngine } from "../open-store.ts";
import { RocksStore } from "../rocks-store.ts";

/** Opens or creates the memory's store inside a data directory. Rejects like the journal's does. */
export function openMemoryStore(directory: string, engine: StoreEngine): Promise<OrderedStore> {
  const path = join(directory, "memory");
  return engine === "rocksdb" ? RocksStore.open(path) : LevelStore.open(path);
}
