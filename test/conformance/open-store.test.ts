/** Data directories: which engine they get, what they refuse, and what is kept beside the store. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FileMark } from "../../src/adapters/file-mark.ts";
import { LevelStore } from "../../src/adapters/level-store.ts";
import { type OpenedStore, openStore, probeRocks } from "../../src/adapters/open-store.ts";
import { RocksStore } from "../../src/adapters/rocks-store.ts";

let directory: string;
const key = Uint8Array.of(1);

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "goclaw-open-"));
});

afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

async function close(opened: OpenedStore): Promise<void> {
  await opened.mark.close();
  await opened.store.close();
}

describe("openStore", () => {
  test("a new directory gets RocksDB, says so, and is RocksDB's from then on", async () => {
    const data = join(directory, "a", "b");
    const first = await openStore(data, { version: "1.2.3" });
    expect(first.store).toBeInstanceOf(RocksStore);
    expect(first).toMatchObject({
      engine: "rocksdb",
      description: `rocksdb in ${data}`,
      notices: [],
    });
    await first.store.write([{ key, value: key }]);
    await first.mark.save(7n);
    await close(first);
    expect(await readFile(join(data, "FORMAT"), "utf8")).toBe(
      "layout 1\nengine rocksdb\nwritten-by goclaw 1.2.3\n",
    );
    expect((await readdir(data)).sort()).toEqual(["FORMAT", "MARK", "store"]);

    const again = await openStore(data);
    expect(await again.store.get(key)).toEqual(key);
    expect(await again.mark.load()).toBe(7n);
    await close(again);
    await expect(openStore(data, { engine: "leveldb" })).rejects.toMatchObject({
      fault: { code: "STORE_FORMAT", found: "a rocksdb store", expected: "leveldb" },
    });
  });

  test("LevelDB is there for the asking and then stays", async () => {
    const first = await openStore(directory, { engine: "leveldb" });
    expect(first.store).toBeInstanceOf(LevelStore);
    expect(first.notices).toEqual([]);
    await first.store.write([{ key, value: key }]);
    await close(first);
    const again = await openStore(directory);
    expect(again.engine).toBe("leveldb");
    expect(await again.store.get(key)).toEqual(key);
    await close(again);
  });

  test("a directory in use is STORE_LOCKED, and nothing is disturbed", async () => {
    const first = await openStore(directory);
    await expect(openStore(directory)).rejects.toMatchObject({ fault: { code: "STORE_LOCKED" } });
    await first.store.write([{ key, value: key }]);
    expect(await first.store.get(key)).toEqual(key);
    await close(first);
  });

  test("a directory of something else is refused and left alone", async () => {
    await writeFile(join(directory, "thesis.txt"), "important");
    await expect(openStore(directory)).rejects.toMatchObject({
      fault: { code: "STORE_FORMAT", found: expect.stringContaining("thesis.txt") },
    });
    expect(await readdir(directory)).toEqual(["thesis.txt"]);
  });

  test("a beginning that was interrupted counts as empty, and so does a fresh file system", async () => {
    await mkdir(join(directory, "lost+found"));
    await writeFile(join(directory, "FORMAT.new"), "lay");
    const opened = await openStore(directory);
    expect(opened.engine).toBe("rocksdb");
    await close(opened);
  });

  test.each([
    [
      "a newer layout",
      "layout 2\nengine future\nwritten-by goclaw 9.0\n",
      "layout 2 by goclaw 9.0",
    ],
    ["an unknown engine", "layout 1\nengine sqlite\n", "something else"],
    ["no format at all", "hello\n", "something else"],
  ])("%s is STORE_FORMAT", async (_, text, found) => {
    await writeFile(join(directory, "FORMAT"), text);
    await expect(openStore(directory)).rejects.toMatchObject({
      fault: { code: "STORE_FORMAT", found },
    });
    expect(await readdir(directory)).toEqual(["FORMAT"]);
  });

  test("a place that cannot be a directory is STORE_FAILED", async () => {
    await writeFile(join(directory, "file"), "");
    await expect(openStore(join(directory, "file"))).rejects.toMatchObject({
      fault: { code: "STORE_FAILED", operation: "open" },
    });
  });

  test("a mark that is damaged is DATA_LOSS, and the lock is free again", async () => {
    await close(await openStore(directory));
    await writeFile(join(directory, "MARK"), "nonsense".repeat(2_000));
    for (let attempt = 0; attempt < 2; attempt++) {
      await expect(openStore(directory)).rejects.toMatchObject({
        fault: { code: "DATA_LOSS", where: join(directory, "MARK") },
      });
    }
  });

  test.each(["rocksdb", "leveldb"] as const)(
    "a %s store that lost its beginning is DATA_LOSS, and what is left is not touched",
    async (engine) => {
      const first = await openStore(directory, { engine });
      await first.store.write([{ key, value: key }]);
      await close(first);
      await rm(join(directory, "store", "CURRENT"));
      const left = (await readdir(join(directory, "store"))).sort();
      await expect(openStore(directory)).rejects.toMatchObject({
        fault: { code: "DATA_LOSS", where: join(directory, "store", "CURRENT") },
      });
      expect((await readdir(join(directory, "store"))).sort()).toEqual(left);
    },
  );

  test("the probe finds RocksDB working here and leaves nothing behind", async () => {
    const { TMPDIR } = process.env;
    process.env.TMPDIR = directory;
    try {
      expect(await probeRocks()).toBe("");
    } finally {
      if (TMPDIR === undefined) delete process.env.TMPDIR;
      else process.env.TMPDIR = TMPDIR;
    }
    expect(await readdir(directory)).toEqual([]);
  });
});

describe("where RocksDB does not work", () => {
  const refuse = (): Promise<string> => Promise.resolve("no binary for riscv");

  test("a new directory gets LevelDB, and whoever starts it learns why", async () => {
    const opened = await openStore(directory, {}, refuse);
    expect(opened.store).toBeInstanceOf(LevelStore);
    expect(opened.notices).toEqual([
      "RocksDB does not work here, so LevelDB is used: no binary for riscv",
    ]);
    await close(opened);
    const again = await openStore(directory);
    expect([again.engine, again.notices]).toEqual(["leveldb", []]);
    await close(again);
  });

  test("a directory that RocksDB wrote is refused, and so is the wish for RocksDB", async () => {
    await expect(openStore(directory, { engine: "rocksdb" }, refuse)).rejects.toMatchObject({
      fault: { code: "STORE_FAILED", detail: expect.stringContaining("no binary for riscv") },
    });
    expect(await readdir(directory)).toEqual([]);
    await close(await openStore(directory));
    await expect(openStore(directory, {}, refuse)).rejects.toMatchObject({
      fault: { code: "STORE_FAILED", detail: expect.stringContaining("no binary for riscv") },
    });
  });

  test.each([
    ["process.abort();", "its binary was stopped by SIGABRT"],
    ['require("no-such-package");', "Error: Cannot find module 'no-such-package'"],
    ["process.exit(3);", "its trial ended with 3"],
  ])("a probe that ends with %s says so", async (source, problem) => {
    const program = join(directory, "probe.cjs");
    await writeFile(program, source);
    expect(await probeRocks(program)).toBe(problem);
  });
});

describe("FileMark", () => {
  const path = (): string => join(directory, "MARK");

  async function reopened(): Promise<bigint | undefined> {
    const mark = await FileMark.open(path());
    const value = await mark.load();
    await mark.close();
    return value;
  }

  test("remembers the largest value, never a smaller one", async () => {
    expect(await reopened()).toBeUndefined();
    const mark = await FileMark.open(path());
    for (const value of [1n, 5n, 3n, 2n ** 60n, 6n]) await mark.save(value);
    await mark.close();
    expect(await reopened()).toBe(2n ** 60n);
    const again = await FileMark.open(path());
    await again.save(9n);
    await again.close();
    expect(await reopened()).toBe(2n ** 60n);
  });

  test("saves made at the same time end with the largest", async () => {
    const mark = await FileMark.open(path());
    const saves = Array.from({ length: 40 }, (_, n) => mark.save(BigInt((n * 7) % 40)));
    await Promise.all(saves);
    await mark.close();
    expect(await reopened()).toBe(39n);
    await expect(mark.save(50n)).rejects.toMatchObject({ fault: { code: "STORE_FAILED" } });
  });

  test("a torn save leaves the value before it", async () => {
    const mark = await FileMark.open(path());
    await mark.save(10n);
    await mark.save(11n);
    await mark.close();
    const bytes = await readFile(path());
    for (const [slot, rest] of [
      [0, 11n],
      [4_096, 10n],
    ] as const) {
      const torn = Uint8Array.from(bytes);
      torn[slot + 12] = (torn[slot + 12] as number) ^ 1;
      await writeFile(path(), torn);
      expect(await reopened()).toBe(rest);
      const repaired = await FileMark.open(path());
      await repaired.save(12n);
      await repaired.close();
      expect(await reopened()).toBe(12n);
    }
  });

  test("two damaged slots are DATA_LOSS", async () => {
    const mark = await FileMark.open(path());
    await mark.save(1n);
    await mark.close();
    const bytes = await readFile(path());
    bytes[3] = (bytes[3] as number) ^ 255;
    await writeFile(path(), bytes);
    await expect(FileMark.open(path())).rejects.toMatchObject({ fault: { code: "DATA_LOSS" } });
  });
});
