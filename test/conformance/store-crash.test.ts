/**
 * The disk stores and real crashes: a process that writes is killed with SIGKILL, or runs into a limit of the file
 * system. What it was told is durable must be there afterwards, batches whole, in order, and nothing besides.
 */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test } from "vitest";
import { LevelStore } from "../../src/adapters/level-store.ts";
import { RocksStore } from "../../src/adapters/rocks-store.ts";
import type { OrderedStore } from "../../src/ports/store.ts";

const WRITER = fileURLToPath(new URL("../support/store-writer.ts", import.meta.url));
const ENGINES = {
  rocksdb: (path: string): Promise<OrderedStore> => RocksStore.open(path),
  leveldb: (path: string): Promise<OrderedStore> => LevelStore.open(path),
} as const;

const text = (bytes: Uint8Array | undefined): string => new TextDecoder().decode(bytes);
const key = (name: string): Uint8Array => new TextEncoder().encode(name);
const directories: string[] = [];

async function newDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "goclaw-crash-"));
  directories.push(directory);
  return join(directory, "store");
}

afterEach(async () => {
  for (const directory of directories.splice(0))
    await rm(directory, { recursive: true, force: true });
});

/** Starts the writer; `ulimit` in blocks of a kilobyte limits the size of its files. */
function startWriter(
  engine: string,
  directory: string,
  first: number,
  ulimit?: number,
): ChildProcessWithoutNullStreams {
  const args = [WRITER, engine, directory, String(first)];
  if (ulimit === undefined) return spawn(process.execPath, args);
  return spawn("bash", ["-c", `ulimit -f ${ulimit}; exec "$0" "$@"`, process.execPath, ...args]);
}

/** Reads the writer's lines until `isEnough` says so or it ends; returns the largest acknowledged number. */
async function follow(
  writer: ChildProcessWithoutNullStreams,
  isEnough: (acknowledged: number, count: number) => boolean,
  onLine: (line: string) => void = () => {},
): Promise<number> {
  let acknowledged = 0;
  let count = 0;
  for await (const line of createInterface({ input: writer.stdout })) {
    onLine(line);
    if (!line.startsWith("ack ")) continue;
    acknowledged = Math.max(acknowledged, Number(line.slice(4)));
    count++;
    if (isEnough(acknowledged, count)) writer.kill("SIGKILL");
  }
  if (writer.exitCode === null && writer.signalCode === null) await once(writer, "exit");
  return acknowledged;
}

/** Checks that exactly the first batches are there, whole, and returns how many. */
async function check(store: OrderedStore): Promise<number> {
  const last = Number(text(await store.get(key("last"))));
  const entries = await store.range({ from: key("a"), to: key("c") }, { limit: 1_000_000 });
  const found = entries.map((entry) => text(entry.key)).sort();
  const expected: string[] = [];
  for (let n = 1; n <= last; n++) {
    expected.push(`b${n}`);
    if (n > last - 100) expected.push(`a${n}`);
  }
  expect(found).toEqual(expected.sort());
  return last;
}

describe.each(Object.entries(ENGINES))("%s", (engine, open) => {
  test("kill -9 loses nothing that was acknowledged and leaves no half batch", async () => {
    const directory = await newDirectory();
    let next = 1;
    for (const target of [1, 40, 150, 60]) {
      const writer = startWriter(engine, directory, next);
      const acknowledged = await follow(writer, (_, count) => count >= target);
      expect(writer.signalCode).toBe("SIGKILL");
      const store = await open(directory);
      const last = await check(store);
      expect(last).toBeGreaterThanOrEqual(acknowledged);
      await store.close();
      next = last + 1;
    }
  });

  test("a write the disk refuses stops the store, and re-opening recovers what was acknowledged", async () => {
    const directory = await newDirectory();
    const lines: string[] = [];
    const writer = startWriter(engine, directory, 1, 512);
    const acknowledged = await follow(
      writer,
      () => false,
      (line) => lines.push(line),
    );
    const refusals = lines.slice(lines.findIndex((line) => line.startsWith("failed")));
    expect(refusals.length).toBeGreaterThanOrEqual(4);
    expect(new Set(refusals)).toEqual(new Set(["failed STORE_FAILED"]));
    expect(acknowledged).toBeGreaterThan(10);
    const store = await open(directory);
    expect(await check(store)).toBeGreaterThanOrEqual(acknowledged);
    await store.write([{ key: key("z"), value: key("writable again") }]);
    await store.close();
  });
});
