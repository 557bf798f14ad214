/**
 * What the disk stores can do by themselves: synced batches of 1, 100 and 1,000 keys with two batches in flight, as the
 * engine has them. Prints one JSON line per engine and size. `node bench/store.ts [rocksdb|leveldb]`
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LevelStore } from "../src/adapters/level-store.ts";
import { RocksStore } from "../src/adapters/rocks-store.ts";
import type { OrderedStore, Write } from "../src/ports/store.ts";

const ENGINES = {
  rocksdb: (path: string): Promise<OrderedStore> => RocksStore.open(path),
  leveldb: (path: string): Promise<OrderedStore> => LevelStore.open(path),
} as const;
const MEASURE_MS = 3_000;
const IN_FLIGHT = 2;

const value = new Uint8Array(200).map((_, at) => (at * 7_919) & 255);
let nextKey = 0;

function batchOf(size: number): Write[] {
  return Array.from({ length: size }, () => {
    const key = new Uint8Array(35);
    new DataView(key.buffer).setFloat64(10, nextKey++);
    return { key, value };
  });
}

const quantile = (sorted: readonly number[], share: number): number =>
  Number((sorted[Math.floor(sorted.length * share)] ?? 0).toFixed(2));

async function measure(engine: keyof typeof ENGINES, size: number): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "goclaw-bench-"));
  const store = await ENGINES[engine](join(directory, "store"));
  const latenciesMs: number[] = [];
  const cpu = process.cpuUsage();
  const loop = performance.eventLoopUtilization();
  const start = performance.now();
  const lane = async (): Promise<void> => {
    while (performance.now() - start < MEASURE_MS) {
      const sent = performance.now();
      await store.write(batchOf(size));
      latenciesMs.push(performance.now() - sent);
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
  const seconds = (performance.now() - start) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  latenciesMs.sort((a, b) => a - b);
  console.log(
    JSON.stringify({
      bench: "store",
      engine,
      keysPerBatch: size,
      batchesPerSecond: Math.round(latenciesMs.length / seconds),
      keysPerSecond: Math.round((latenciesMs.length * size) / seconds),
      p50Ms: quantile(latenciesMs, 0.5),
      p99Ms: quantile(latenciesMs, 0.99),
      cpuUsPerKey: Number(((user + system) / (latenciesMs.length * size)).toFixed(2)),
      engineThreadBusy: Number(performance.eventLoopUtilization(loop).utilization.toFixed(2)),
    }),
  );
  await store.close();
  await rm(directory, { recursive: true });
}

const wanted = process.argv[2];
for (const engine of ["rocksdb", "leveldb"] as const) {
  if (wanted !== undefined && wanted !== engine) continue;
  for (const size of [1, 100, 1_000]) await measure(engine, size);
}
