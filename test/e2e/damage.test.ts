/**
 * Bits flip and files are cut short in data directories of both stores: what is read is exact, or refused by name.
 * `make torture` tries ten thousand.
 */
import { expect, test } from "vitest";
import { tortureByDamage } from "../torture/damage.ts";

const TRIALS = 75;

test.each([
  ["rocksdb", false],
  ["rocksdb", true],
  ["leveldb", false],
  ["leveldb", true],
] as const)("%s, after a crash: %s", async (engine, isCrash) => {
  const report = await tortureByDamage({ engine, trials: TRIALS, seed: 40_000, isCrash });
  expect(report.problems).toEqual([]);
  const { exact = 0, DATA_LOSS: lost = 0, silent = 0 } = report.outcomes;
  expect(silent).toBe(0);
  expect(exact).toBeGreaterThan(0);
  expect(lost).toBeGreaterThan(TRIALS / 5);
});
