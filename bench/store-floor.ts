/**
 * What the store alone can do: the commits that a benchmark left in a data directory are turned into their raw writes
 * again and written to a fresh directory, one synced batch per commit, two in flight as the engine has them. No
 * decisions, no encoding, no agents: the speed an engine on this store could not pass.
 */
import { join } from "node:path";
import { MemoryStore } from "../src/adapters/memory-store.ts";
import { openStore } from "../src/adapters/open-store.ts";
import { SystemHost } from "../src/adapters/system-host.ts";
import { StoreJournal } from "../src/journal/journal.ts";
import type { Write } from "../src/ports/store.ts";
import { VERSION } from "../src/version.ts";
import { scratchDirectory } from "./scratch.ts";

const REPS = 3;

/** Items per second, one sample per repetition, when `items` items make up the whole directory. */
export async function rewriteSpeed(directory: string, items: number): Promise<number[]> {
  const batches = await rawBatches(directory);
  const samples: number[] = [];
  for (let rep = 0; rep < REPS; rep++) samples.push((items / (await writeAll(batches))) * 1_000);
  return samples;
}

/** Every commit of a directory as the batch of writes it was. */
async function rawBatches(directory: string): Promise<Write[][]> {
  const host = new SystemHost();
  const { store, mark } = await openStore(directory, { version: VERSION });
  const source = new StoreJournal({ store, mark, host });
  await source.recover(() => {});
  const batches: Write[][] = [];
  const recorder = new MemoryStore();
  const write = recorder.write.bind(recorder);
  recorder.write = (batch) => {
    batches.push([...batch]);
    return write(batch);
  };
  const copy = new StoreJournal({ store: recorder, host });
  await copy.recover(() => {});
  batches.length = 0;
  let cursor: bigint | undefined;
  for (;;) {
    const page = await source.commitsAfter(cursor, 1);
    if (page === undefined) break;
    await copy.append({ runs: page.runs, definitions: [], accepted: [], ended: [] });
    cursor = page.cursor;
  }
  await source.close();
  await store.close();
  await mark.close();
  host.close();
  return batches;
}

async function writeAll(batches: readonly Write[][]): Promise<number> {
  const directory = await scratchDirectory();
  const { store, mark } = await openStore(join(directory, "data"), { version: VERSION });
  const began = performance.now();
  let previous: Promise<void> = Promise.resolve();
  for (const batch of batches) {
    const written = store.write(batch);
    await previous;
    previous = written;
  }
  await previous;
  const took = performance.now() - began;
  await store.close();
  await mark.close();
  return took;
}
