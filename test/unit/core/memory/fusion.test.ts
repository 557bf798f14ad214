/** Two lists into one: the numbers of both methods, and whose word counts how much. */
import { expect, test } from "vitest";
import { fuse } from "../../../../src/core/memory/fusion.ts";

const texts = [
  { slot: 1, score: 8 },
  { slot: 2, score: 6 },
  { slot: 3, score: 4 },
];
const vectors = [
  { slot: 3, score: 0.9 },
  { slot: 4, score: 0.5 },
];
const scores = (...args: Parameters<typeof fuse>) =>
  new Map(fuse(...args).map(({ slot, score }) => [slot, score]));

test("reciprocal ranks count places from one with the constant 60", () => {
  const fused = scores(texts, vectors, { embedderKind: "semantic" });
  expect(fused.get(1)).toBeCloseTo(0.3 / 61, 12);
  expect(fused.get(3)).toBeCloseTo(0.3 / 63 + 0.7 / 61, 12);
  expect(fused.get(4)).toBeCloseTo(0.7 / 62, 12);
});

test("relative scores stretch each list from its worst to its best", () => {
  const fused = scores(texts, vectors, { embedderKind: "lexical" });
  expect(fused.get(1)).toBeCloseTo(0.85, 12);
  expect(fused.get(2)).toBeCloseTo(0.425, 12);
  expect(fused.get(3)).toBeCloseTo(0.15, 12);
  expect(fused.get(4)).toBeCloseTo(0, 12);
});

test("explicit weights win over those of the embedder, and only their ratio matters", () => {
  const choice = { embedderKind: "lexical", fusion: "rrf" } as const;
  const fused = scores(texts, vectors, { ...choice, weights: { vector: 3, text: 1 } });
  expect(fused.get(3)).toBeCloseTo(0.25 / 63 + 0.75 / 61, 12);
});

test("an empty side takes no part, whatever its weight", () => {
  expect(scores(texts, [], { embedderKind: "semantic" }).get(1)).toBeCloseTo(1 / 61, 12);
  expect(scores([], vectors, { embedderKind: "lexical" }).get(3)).toBe(1);
  expect(scores([], [], { embedderKind: "semantic" }).size).toBe(0);
});

test("one candidate, or equal ones, are worth a whole side", () => {
  const equal = [
    { slot: 1, score: 2 },
    { slot: 2, score: 2 },
  ];
  const fused = scores(equal, [], { embedderKind: "lexical" });
  expect([...fused.values()]).toEqual([1, 1]);
});

test("every result says its rank and raw score on each side", () => {
  const both = fuse(texts, vectors, { embedderKind: "semantic" }).find(({ slot }) => slot === 3);
  expect(both).toMatchObject({ text: { rank: 3, score: 4 }, vector: { rank: 1, score: 0.9 } });
});
