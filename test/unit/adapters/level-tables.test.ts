/** Tables of LevelDB that are damaged, cut or gone are found before LevelDB sees them; whole ones pass. */
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { LevelStore } from "../../../src/adapters/level-store.ts";
import { checkLevelTables } from "../../../src/adapters/level-tables.ts";

let directory: string;

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

/** Three tables with several blocks each; the third opening has made them of the logs. */
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "goclaw-tables-"));
  for (let life = 0; life < 3; life++) {
    const store = await LevelStore.open(directory);
    for (let n = 0; n < 200; n++) {
      await store.write([{ key: text(`${life} ${n}`), value: text(`${n}`.repeat(40)) }]);
    }
    await store.close();
  }
  await (await LevelStore.open(directory)).close();
});

afterEach(() => rm(directory, { recursive: true, force: true }));

async function tables(): Promise<string[]> {
  const names = await readdir(directory);
  return names.filter((name) => name.endsWith(".ldb")).map((name) => join(directory, name));
}

const DAMAGE = { fault: { code: "DATA_LOSS" } };

test("whole tables pass, and so does a directory without a database", async () => {
  expect((await tables()).length).toBeGreaterThan(0);
  await checkLevelTables(directory);
  await checkLevelTables(join(directory, "missing"));
});

test("a flipped bit in any block is found", async () => {
  for (const path of await tables()) {
    const whole = await readFile(path);
    for (let at = 0; at < whole.length - 48; at += 211) {
      const hurt = Buffer.from(whole);
      hurt.writeUInt8(whole.readUInt8(at) ^ 16, at);
      await writeFile(path, hurt);
      await expect(checkLevelTables(directory), `byte ${at}`).rejects.toMatchObject(DAMAGE);
    }
    await writeFile(path, whole);
  }
  await checkLevelTables(directory);
});

test("a table that was cut is found, wherever it was cut", async () => {
  const [path = ""] = await tables();
  const whole = await readFile(path);
  for (const size of [0, 1, 47, 48, whole.length >> 1, whole.length - 1]) {
    await truncate(path, size);
    await expect(checkLevelTables(directory), `${size} bytes`).rejects.toMatchObject(DAMAGE);
    await writeFile(path, whole);
  }
});

test("a table that is gone is found, one that nobody needs is not looked at", async () => {
  await writeFile(join(directory, "999999.ldb"), "left by a crash in the middle of writing it");
  await checkLevelTables(directory);
  const [path = ""] = await tables();
  await rm(path);
  await expect(LevelStore.open(directory)).rejects.toMatchObject({
    fault: { code: "DATA_LOSS", where: path, detail: "the table is missing" },
  });
});
