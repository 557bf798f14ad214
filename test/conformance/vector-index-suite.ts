/** What every {@link VectorIndex} promises, whatever stands behind it. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { prng } from "../../src/base/hash.ts";
import type { VectorIndex } from "../../src/ports/memory.ts";

const DIMENSION = 16;
const idOf = (n: number): string => `01JD${String(n).padStart(22, "0")}`;
const A = "default/a";
/** Names that a filter expression or an address could trip over, and two that share a prefix. */
const NAMES = [
  "default/o'brien",
  'default/"x" OR 1=1',
  "default/a",
  "default/aa",
  "default/ü\u0000中",
  "default/%2F\\",
];

const random = prng(42);

function unitVector(): Float32Array {
  const parts = Float32Array.from({ length: DIMENSION }, () => random() - 0.5);
  const length = Math.hypot(...parts);
  return parts.map((part) => part / length);
}

const cosine = (a: Float32Array, b: Float32Array): number =>
  a.reduce((sum, part, at) => sum + part * (b[at] ?? 0), 0);

/** `open` gives an empty index; `reopen` another one on the same place, where the index outlives its process. */
export function vectorIndexSuite(
  open: () => Promise<VectorIndex>,
  reopen?: () => Promise<VectorIndex>,
): void {
  let index: VectorIndex;
  beforeEach(async () => {
    index = await open();
  });
  afterEach(async () => index.close());

  const fill = async (sessionId: string, count: number, from = 0) => {
    const items = Array.from({ length: count }, (_, n) => ({
      sessionId,
      id: idOf(from + n),
      vector: unitVector(),
    }));
    await index.upsert(items);
    return items;
  };

  test("is empty at first, and asking it is no error", async () => {
    expect(await index.search(A, unitVector(), 5)).toEqual([]);
    expect(await index.count()).toBe(0);
    await index.remove(A, [idOf(1)]);
    await index.eraseSession(A);
    await index.upsert([]);
  });

  test("finds the nearest of a session by cosine, best first", async () => {
    const items = await fill(A, 60);
    const query = unitVector();
    const expected = items
      .map(({ id, vector }) => ({ id, score: cosine(vector, query) }))
      .sort((a, b) => b.score - a.score)
      .slice(0, 5);
    const found = await index.search(A, query, 5);
    expect(found.map(({ id }) => id)).toEqual(expected.map(({ id }) => id));
    for (const [at, { score }] of found.entries())
      expect(score).toBeCloseTo(expected[at]?.score ?? 9, 4);
    expect(await index.search(A, query, 0)).toEqual([]);
    expect(await index.search(A, query, 100)).toHaveLength(60);
  });

  test("answers with all a session has, however many others are nearer", async () => {
    const query = unitVector();
    const near = Array.from({ length: 200 }, (_, n) => ({
      sessionId: "default/b",
      id: idOf(n),
      vector: query,
    }));
    await index.upsert(near);
    await index.upsert(
      [1, 2, 3].map((n) => ({ sessionId: A, id: idOf(n), vector: query.map((part) => -part) })),
    );
    const found = await index.search(A, query, 10);
    expect(found.map(({ id }) => id).sort()).toEqual([1, 2, 3].map(idOf));
    for (const { score } of found) expect(score).toBeCloseTo(-1, 4);
  });

  test("keeps sessions apart, whatever they are called", async () => {
    for (const name of NAMES) await fill(name, 3);
    for (const name of NAMES) {
      expect((await index.search(name, unitVector(), 10)).map(({ id }) => id).sort()).toEqual(
        [0, 1, 2].map(idOf),
      );
    }
    await index.remove(NAMES[0] as string, [idOf(1)]);
    await index.eraseSession(NAMES[1] as string);
    const counts = await Promise.all(
      NAMES.map(async (name) => (await index.search(name, unitVector(), 10)).length),
    );
    expect(counts).toEqual([2, 0, 3, 3, 3, 3]);
    expect(await index.count()).toBe(14);
  });

  test("replaces a vector that is written again, and every change may be repeated", async () => {
    await fill(A, 3);
    const vector = unitVector();
    for (let n = 0; n < 2; n++) await index.upsert([{ sessionId: A, id: idOf(1), vector }]);
    expect(await index.count()).toBe(3);
    const [best] = await index.search(A, vector, 1);
    expect(best).toMatchObject({ id: idOf(1) });
    expect(best?.score).toBeCloseTo(1, 4);
    for (let n = 0; n < 2; n++) await index.remove(A, [idOf(1), idOf(2)]);
    expect((await index.search(A, vector, 10)).map(({ id }) => id)).toEqual([idOf(0)]);
    for (let n = 0; n < 2; n++) await index.eraseSession(A);
    expect(await index.count()).toBe(0);
    await fill(A, 2);
    expect(await index.count()).toBe(2);
  });

  if (reopen === undefined) return;
  test("outlives the process", async () => {
    await fill(A, 4);
    await index.close();
    index = await reopen();
    expect(await index.search(A, unitVector(), 10)).toHaveLength(4);
    expect(await index.count()).toBe(4);
  });
}
