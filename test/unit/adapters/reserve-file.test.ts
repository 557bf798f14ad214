/** The file that keeps room back: written where there is room, given up where there is not, never in the way. */
import { mkdtemp, rm, stat, statfs, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ReserveFile } from "../../../src/adapters/reserve-file.ts";

const MIB = 1024 * 1024;
let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "goclaw-reserve-"));
});

afterEach(() => rm(directory, { recursive: true, force: true }));

const heldBytes = (): Promise<number> =>
  stat(join(directory, "RESERVE")).then(
    ({ size }) => size,
    () => 0,
  );

test("a directory with room gets the whole reserve, once", async () => {
  const reserve = new ReserveFile(directory, 3 * MIB + 5);
  expect(await reserve.releaseIfShort()).toEqual({ kind: "absent", why: "there is none yet" });
  expect(await reserve.fill()).toEqual({ kind: "kept" });
  expect(await heldBytes()).toBe(3 * MIB + 5);
  const { mtimeMs } = await stat(join(directory, "RESERVE"));
  const next = new ReserveFile(directory, 3 * MIB + 5);
  expect(await next.releaseIfShort()).toEqual({ kind: "kept" });
  expect(await next.fill()).toEqual({ kind: "kept" });
  expect((await stat(join(directory, "RESERVE"))).mtimeMs).toBe(mtimeMs);
});

test("what an interrupted start left half written is completed, and another size is taken over", async () => {
  await writeFile(join(directory, "RESERVE"), new Uint8Array(100));
  expect(await new ReserveFile(directory, MIB).fill()).toEqual({ kind: "kept" });
  expect(await heldBytes()).toBe(MIB);
  expect(await new ReserveFile(directory, 1_000).fill()).toEqual({ kind: "kept" });
  expect(await heldBytes()).toBe(1_000);
});

test("0 keeps none and removes the one that is there", async () => {
  await writeFile(join(directory, "RESERVE"), new Uint8Array(100));
  const reserve = new ReserveFile(directory, 0);
  expect(await reserve.releaseIfShort()).toEqual({ kind: "absent", why: "none is configured" });
  expect(await reserve.fill()).toEqual({ kind: "absent", why: "none is configured" });
  expect(await heldBytes()).toBe(0);
});

test("nothing is written where it would take the last room", async () => {
  const { bavail, bsize } = await statfs(directory);
  const reserve = new ReserveFile(directory, Math.floor((bavail * bsize) / 1.5));
  expect(await reserve.fill()).toEqual({ kind: "absent", why: "the disk has too little room" });
  expect(await heldBytes()).toBe(0);
});

test("a directory that cannot be written costs the reserve and nothing else", async () => {
  const reserve = new ReserveFile(join(directory, "missing"), 100);
  expect(await reserve.releaseIfShort()).toEqual({ kind: "absent", why: "there is none yet" });
  expect(await reserve.fill()).toMatchObject({ kind: "absent" });
});

test("closing waits for what is being written", async () => {
  const reserve = new ReserveFile(directory, 20 * MIB);
  const filled = reserve.fill();
  await reserve.close();
  await filled;
  expect(await heldBytes()).toBeLessThanOrEqual(20 * MIB);
});
