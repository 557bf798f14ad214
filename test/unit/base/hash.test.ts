/** Deterministic hashing: known vectors, and spread good enough for jitter. */
import { describe, expect, test } from "vitest";
import { hashFraction, hashText, mix32, prng } from "../../../src/base/hash.ts";

test.each([
  // Vectors of draft-eastlake-fnv, 32-bit FNV-1a.
  ["", 0x811c9dc5],
  ["a", 0xe40c292c],
  ["foobar", 0xbf9cf968],
])("FNV-1a of %j", (text, hash) => {
  expect(hashText(text)).toBe(hash);
});

test.each([
  // MurmurHash3's finalizer maps 0 to 0 and 1 to this constant.
  [0, 0],
  [1, 0x514e28b7],
])("mix32 of %d", (value, mixed) => {
  expect(mix32(value)).toBe(mixed);
});

describe("hashFraction", () => {
  test("is fixed by its parts and their borders", () => {
    expect(hashFraction("run", "task", 1)).toBe(hashFraction("run", "task", 1));
    expect(hashFraction("ab", "c")).not.toBe(hashFraction("a", "bc"));
    expect(hashFraction("a", 1)).not.toBe(hashFraction("a", 2));
  });

  test("spreads evenly over [0, 1)", () => {
    const buckets = new Array<number>(10).fill(0);
    for (let at = 0; at < 10_000; at++) {
      const fraction = hashFraction("run", `task-${at}`, 1);
      expect(fraction).toBeGreaterThanOrEqual(0);
      expect(fraction).toBeLessThan(1);
      const bucket = Math.floor(fraction * 10);
      buckets[bucket] = (buckets[bucket] as number) + 1;
    }
    // Chi-squared with 9 degrees of freedom: 27.9 is exceeded by chance once in a thousand, and this is deterministic.
    expect(buckets.reduce((sum, count) => sum + (count - 1_000) ** 2 / 1_000, 0)).toBeLessThan(
      27.9,
    );
  });
});

describe("prng", () => {
  const take = (seed: number, count: number) => {
    const next = prng(seed);
    return Array.from({ length: count }, next);
  };

  test("equal seeds give equal numbers, others do not", () => {
    expect(take(42, 100)).toEqual(take(42, 100));
    expect(take(42, 100)).not.toEqual(take(43, 100));
    expect(new Set([0, 1, 2, -1, 2 ** 31].map((seed) => take(seed, 1)[0])).size).toBe(5);
  });

  test("numbers lie in [0, 1), around the middle", () => {
    const numbers = take(7, 10_000);
    expect(Math.min(...numbers)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...numbers)).toBeLessThan(1);
    expect(numbers.reduce((sum, number) => sum + number) / numbers.length).toBeCloseTo(0.5, 1);
    expect(new Set(numbers).size).toBeGreaterThan(9_990);
  });
});
