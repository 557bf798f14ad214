/** Figures of benchmarks: what a line says, and the arithmetic behind it. */
import { expect, test } from "vitest";
import { figureLine, median, quantile, rounded } from "../../../bench/figure.ts";

test("a line has the figure, its spread, the floor with the ratio to it, and the settings", () => {
  const line = figureLine({
    bench: "w1",
    metric: "tasks_per_s",
    samples: [30_000.4, 10_000, 20_000],
    n: 500,
    floor: [100_000, 80_000],
    settings: { fsync: true, workers: "in-process" },
  });
  expect(JSON.parse(line)).toEqual({
    bench: "w1",
    metric: "tasks_per_s",
    median: 20_000,
    min: 10_000,
    max: 30_000,
    n: 500,
    reps: 3,
    floor: 90_000,
    ratio: 0.222,
    fsync: true,
    workers: "in-process",
  });
});

test("a figure without a floor has no ratio", () => {
  const line = figureLine({ bench: "w4", metric: "ms", samples: [1], n: 1, settings: {} });
  expect(Object.keys(JSON.parse(line))).toEqual([
    "bench",
    "metric",
    "median",
    "min",
    "max",
    "n",
    "reps",
  ]);
});

test("the median of an even number of samples lies between the middle two", () => {
  expect(median([9, 1, 3, 5])).toBe(4);
  expect(median([7, 1, 5])).toBe(5);
});

test("a quantile is the nearest rank, so that p99 of a hundred is the second largest", () => {
  const samples = Array.from({ length: 100 }, (_, n) => 100 - n);
  expect(quantile(samples, 0.99)).toBe(99);
  expect(quantile(samples, 0.5)).toBe(50);
  expect(quantile(samples, 1)).toBe(100);
  expect(quantile([42], 0.01)).toBe(42);
});

test("figures have three digits, and whole numbers from a thousand on", () => {
  expect(rounded(0.123_456)).toBe(0.123);
  expect(rounded(999.4)).toBe(999);
  expect(rounded(12_345.6)).toBe(12_346);
});
