/** The built-in embedder: unit length, nearness of shared words, and nothing that depends on a collection. */
import { expect, test } from "vitest";
import { hashedDocument, hashedQuery } from "../../../../src/core/memory/hash-embedding.ts";
import { documentStems } from "../../../../src/core/memory/tokens.ts";

const DIMENSION = 384;
const embed = (text: string) =>
  hashedDocument(
    documentStems(text).map((stem) => [stem, 1] as const),
    new Float32Array(DIMENSION),
  );
const cosine = (a: Float32Array, b: Float32Array) =>
  a.reduce((sum, value, at) => sum + value * (b[at] as number), 0);

test("vectors have unit length", () => {
  const vector = embed("a lighthouse on the northern cliffs");
  expect(cosine(vector, vector)).toBeCloseTo(1, 5);
});

test("text without words is the zero vector", () => {
  expect(embed("…").every((value) => value === 0)).toBe(true);
});

test("shared words bring texts near, other texts stay apart", () => {
  const query = hashedQuery([["lighthous", 2]], new Float32Array(DIMENSION));
  expect(cosine(query, embed("a lighthouse on the northern cliffs"))).toBeGreaterThan(0.4);
  expect(Math.abs(cosine(query, embed("bread recipe with walnuts and honey")))).toBeLessThan(0.3);
});

test("equal words give equal vectors in any order and in a used array", () => {
  const used = new Float32Array(DIMENSION).fill(7);
  const stems = [
    ["oak", 1],
    ["river", 2],
  ] as const;
  const again = hashedDocument(stems.toReversed(), used);
  expect(again).toEqual(hashedDocument(stems, new Float32Array(DIMENSION)));
});

test("repetition saturates", () => {
  const share = (times: number) => {
    const vector = hashedDocument(
      [
        ["oak", times],
        ["river", 1],
      ],
      new Float32Array(DIMENSION),
    );
    return cosine(vector, hashedQuery([["river", 1]], new Float32Array(DIMENSION)));
  };
  expect(share(100)).toBeGreaterThan(0.8 * share(10));
  expect(share(10)).toBeLessThan(share(1));
});
