/**
 * The guard of fusion: over any embedder, what both sides find together must not fall more than a point below what the
 * better side finds alone. Recall at five is the share of questions whose evidence is among the first five.
 */
import { describe, expect, test } from "vitest";
import { HASH_DIMENSION } from "../../../../src/core/memory/hash-embedding.ts";
import type { SearchQuery } from "../../../../src/core/memory/query.ts";
import { SessionIndex } from "../../../../src/core/memory/session-index.ts";
import { NOTE_QUESTIONS, NOTE_TASKS } from "../../../support/memory-notes.ts";

type Recipe = Pick<SearchQuery, "embedderKind" | "fusion" | "weights">;

function notesIndex(hashDimension: number, alone: boolean): SessionIndex {
  const index = new SessionIndex({ hashDimension });
  for (const [day, { id, entries }] of NOTE_TASKS.entries())
    for (const [place, text] of entries.entries())
      index.add({
        id: `${id}/${place}`,
        text,
        taskId: alone ? "" : id,
        at: day * 86_400_000 + place * 60_000,
        kind: "note",
        metadata: {},
      });
  return index;
}

/** In percent. */
function recall(index: SessionIndex, recipe: Recipe): number {
  const found = NOTE_QUESTIONS.filter(({ text, evidence }) =>
    index
      .search({ ...recipe, text, limit: 5, strengthOf: () => 1 })
      .some(({ id }) => id === evidence),
  );
  return (100 * found.length) / NOTE_QUESTIONS.length;
}

const TEXT: Recipe = { embedderKind: "lexical", weights: { vector: 0, text: 1 } };
const VECTOR: Recipe = { embedderKind: "lexical", weights: { vector: 1, text: 0 } };

describe.each([64, HASH_DIMENSION, 1_024])("with the built-in embedder of %i places", (places) => {
  const index = notesIndex(places, false);
  const best = Math.max(recall(index, TEXT), recall(index, VECTOR));

  test.each(["rrf", "relative"] as const)("%s does not fall below the better side", (fusion) => {
    expect(recall(index, { embedderKind: "lexical", fusion })).toBeGreaterThanOrEqual(best - 1);
  });
});

test("the weights of a semantic embedder would cost a lexical one dearly", () => {
  const index = notesIndex(64, false);
  const asSemantic: Recipe = {
    embedderKind: "lexical",
    fusion: "rrf",
    weights: { vector: 0.7, text: 0.3 },
  };
  expect(recall(index, asSemantic)).toBeLessThan(recall(index, TEXT) - 1);
});

test("neighbours find what an entry's own words do not", () => {
  const together = recall(notesIndex(HASH_DIMENSION, false), { embedderKind: "lexical" });
  const alone = recall(notesIndex(HASH_DIMENSION, true), { embedderKind: "lexical" });
  expect(together).toBeGreaterThanOrEqual(alone + 10);
  expect(together).toBeGreaterThanOrEqual(85);
});
