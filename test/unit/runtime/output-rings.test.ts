/** What attempts write: kept within bounds, told from the beginning, ended with the task. */
import { expect, test } from "vitest";
import type { RunId } from "../../../src/base/ids.ts";
import { type OutputChunk, OutputRings } from "../../../src/runtime/output-rings.ts";

const RUN = "01JD0000000000000000000000" as RunId;
const bytes = (text: string) => new TextEncoder().encode(text);
const shown = ({ attempt, offset, data }: OutputChunk) =>
  `${attempt}@${offset} ${new TextDecoder().decode(data)}`;

async function all(rings: OutputRings, task = "a"): Promise<string[]> {
  const seen: string[] = [];
  for await (const chunk of rings.watch(RUN, task, () => true)) seen.push(shown(chunk));
  return seen;
}

test("who comes late sees what is kept, in order; attempts begin at 0", async () => {
  const rings = new OutputRings();
  rings.write(RUN, "a", 1, bytes("one "));
  rings.write(RUN, "a", 1, bytes("two"));
  rings.write(RUN, "b", 1, bytes("other"));
  rings.write(RUN, "a", 2, bytes("again"));
  rings.write(RUN, "a", 1, bytes("late"));
  expect(await all(rings)).toEqual(["1@0 one ", "1@4 two", "2@0 again"]);
});

test("beyond its bound the oldest goes, and offsets show the gap", async () => {
  const rings = new OutputRings({ ringBytes: 8 });
  for (const text of ["aaaa", "bbbb", "cccc"]) rings.write(RUN, "a", 1, bytes(text));
  expect(await all(rings)).toEqual(["1@4 bbbb", "1@8 cccc"]);
  rings.write(RUN, "a", 1, bytes("0123456789"));
  expect(await all(rings)).toEqual(["1@14 23456789"]);
});

test("offsets of the writer win: a jump is kept, what was there before is not told twice", async () => {
  const rings = new OutputRings();
  rings.write(RUN, "a", 1, bytes("one"), 0);
  rings.write(RUN, "a", 1, bytes("one"), 0);
  rings.write(RUN, "a", 1, bytes("ten"), 10);
  expect(await all(rings)).toEqual(["1@0 one", "1@10 ten"]);
});

test("all rings together are bounded: the one begun first gives way", async () => {
  const rings = new OutputRings({ ringBytes: 8, totalBytes: 10 });
  rings.write(RUN, "a", 1, bytes("aaaaaa"));
  rings.write(RUN, "b", 1, bytes("bbbbbb"));
  expect(await all(rings, "a")).toEqual([]);
  expect(await all(rings, "b")).toEqual(["1@0 bbbbbb"]);
});

test("a watcher follows until the task ends, or until it leaves", async () => {
  const rings = new OutputRings();
  const seen: string[] = [];
  const watching = (async () => {
    for await (const chunk of rings.watch(RUN, "a", () => false)) seen.push(shown(chunk));
  })();
  const leave = new AbortController();
  const leaving = rings.watch(RUN, "a", () => false, leave.signal).next();
  await Promise.resolve();
  rings.write(RUN, "a", 1, bytes("x"));
  expect((await leaving).value).toMatchObject({ offset: 0 });
  leave.abort();
  rings.write(RUN, "a", 1, bytes("y"));
  rings.end(RUN, "a");
  await watching;
  expect(seen).toEqual(["1@0 x", "1@1 y"]);
});
