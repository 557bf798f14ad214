/** The three stores, held to the same suite. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LevelStore } from "../../src/adapters/level-store.ts";
import { MemoryDisk, MemoryStore } from "../../src/adapters/memory-store.ts";
import { RocksStore } from "../../src/adapters/rocks-store.ts";
import type { OrderedStore } from "../../src/ports/store.ts";
import { describeStore, type StorePlace } from "./store-suite.ts";

async function inDirectory(open: (path: string) => Promise<OrderedStore>): Promise<StorePlace> {
  const directory = await mkdtemp(join(tmpdir(), "goclaw-store-"));
  return {
    open: () => open(join(directory, "store")),
    dispose: () => rm(directory, { recursive: true, force: true }),
  };
}

describeStore("MemoryStore", async () => {
  const disk = new MemoryDisk();
  return { open: async () => new MemoryStore(disk), dispose: async () => {} };
});

describeStore("RocksStore", () => inDirectory((path) => RocksStore.open(path)));

describeStore("LevelStore", () => inDirectory((path) => LevelStore.open(path)));
