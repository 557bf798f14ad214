/**
 * What one synced write costs on the disk under the benchmark: a record of a small commit's size appended to a file and
 * brought to the disk, one after the other, by the same thread pool that Node.js gives everybody.
 */
import { open } from "node:fs/promises";
import { join } from "node:path";
import { scratchDirectory } from "./scratch.ts";

const RECORD_BYTES = 512;
const WRITES = 500;

/** Milliseconds of each write with its sync. */
export async function syncedWritesMs(): Promise<number[]> {
  const file = await open(join(await scratchDirectory(), "log"), "a");
  const record = new Uint8Array(RECORD_BYTES).fill(7);
  const samples: number[] = [];
  for (let write = 0; write < WRITES; write++) {
    const began = performance.now();
    await file.write(record);
    await file.datasync();
    samples.push(performance.now() - began);
  }
  await file.close();
  return samples;
}
