/**
 * The index of a session against the plainest thing that could be right: whatever was added, replaced and removed in
 * whatever order, it answers like one built afresh, and its scores are those of BM25+ computed word by word.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { Best } from "../../src/core/memory/best.ts";
import { nearlySame } from "../../src/core/memory/diversity.ts";
import type { IndexedDocument, SearchQuery } from "../../src/core/memory/query.ts";
import { SessionIndex } from "../../src/core/memory/session-index.ts";
import { documentStems, queryStems } from "../../src/core/memory/tokens.ts";

const WORDS = ["amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron"];
const text = fc.array(fc.constantFrom(...WORDS), { maxLength: 8 }).map((words) => words.join(" "));
const document: fc.Arbitrary<IndexedDocument> = fc.record({
  id: fc.integer({ min: 0, max: 15 }).map((id) => `e${id}`),
  text,
  taskId: fc.constantFrom("", "t1", "t2"),
  at: fc.nat(6),
  kind: fc.constant("note"),
  metadata: fc.constantFrom<Record<string, string>>({}, { team: "blue" }),
  hidden: fc.boolean(),
});
const operation = fc.oneof(
  { weight: 3, arbitrary: document.map((doc) => ({ doc, remove: false })) },
  { weight: 1, arbitrary: document.map((doc) => ({ doc, remove: true })) },
);
const query = fc.record({
  text,
  limit: fc.integer({ min: 0, max: 20 }),
  deep: fc.boolean(),
  filter: fc.constantFrom(
    {},
    { metadata: { team: "blue" } },
    { taskIds: ["t1"] },
    { from: 2, to: 5 },
  ),
  fusion: fc.constantFrom("rrf" as const, "relative" as const),
  embedderKind: fc.constantFrom("lexical" as const, "none" as const),
});
const strengthOf = (id: string) => Number(id.slice(1)) / 16;

function built(docs: Iterable<IndexedDocument>): SessionIndex {
  const index = new SessionIndex({ hashDimension: 32 });
  for (const doc of docs) index.add(doc);
  return index;
}

test("any history answers exactly like a fresh index built in another order", () => {
  fc.assert(
    fc.property(
      fc.array(operation, { maxLength: 40 }),
      fc.array(query, { minLength: 1 }),
      (history, queries) => {
        const index = new SessionIndex({ hashDimension: 32 });
        const live = new Map<string, IndexedDocument>();
        for (const [at, { doc, remove }] of history.entries()) {
          if (remove) index.remove(doc.id);
          else index.add(doc);
          if (remove) live.delete(doc.id);
          else live.set(doc.id, doc);
          // Searching in between must not change what is found later: built-in vectors are made then.
          if (at % 7 === 0)
            index.search({ text: "amber", limit: 3, embedderKind: "lexical", strengthOf });
        }
        const fresh = built([...live.values()].reverse());
        expect(index.size).toBe(live.size);
        for (const each of queries)
          expect(index.search({ ...each, strengthOf })).toEqual(
            fresh.search({ ...each, strengthOf }),
          );
        expect(index.nearDuplicates("amber birch cedar")).toEqual(
          fresh.nearDuplicates("amber birch cedar"),
        );
      },
    ),
    { numRuns: 150 },
  );
});

/** BM25+ over documents written out with their neighbours, as the formula says. */
function plainScores(docs: readonly IndexedDocument[], asked: string): Map<string, number> {
  const shares = new Map([
    [-2, 0.3],
    [-1, 0.6],
    [0, 1],
    [1, 0.4],
    [2, 0.2],
  ]);
  const sorted = docs.toSorted((a, b) => a.at - b.at || (a.id < b.id ? -1 : 1));
  const documents = sorted.map((doc) => {
    const task = doc.taskId === "" ? [doc] : sorted.filter(({ taskId }) => taskId === doc.taskId);
    const frequencies = new Map<string, number>();
    for (const [offset, share] of shares)
      for (const stem of documentStems(task[task.indexOf(doc) + offset]?.text ?? ""))
        frequencies.set(stem, (frequencies.get(stem) ?? 0) + share);
    const length = [...frequencies.values()].reduce((a, b) => a + b, 0);
    return { id: doc.id, frequencies, length };
  });
  const average = documents.reduce((sum, { length }) => sum + length, 0) / documents.length;
  const scores = new Map<string, number>();
  for (const { id, frequencies, length } of documents) {
    let score = 0;
    for (const stem of queryStems(asked)) {
      const n = docs.filter((doc) => documentStems(doc.text).includes(stem)).length;
      const f = frequencies.get(stem) ?? 0;
      if (f === 0) continue;
      const idf = Math.log(1 + (docs.length - n + 0.5) / (n + 0.5));
      score += idf * (0.5 + (f * 2.2) / (f + 1.2 * (0.25 + (0.75 * length) / average)));
    }
    if (score > 0) scores.set(id, score);
  }
  return scores;
}

test("scores by words are those of the formula", () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(document, { selector: ({ id }) => id, minLength: 1, maxLength: 16 }),
      text,
      (docs, asked) => {
        const expected = plainScores(docs, asked);
        const hits = built(docs).search({
          text: asked,
          limit: 100,
          embedderKind: "none",
          deep: true,
          strengthOf,
        });
        const found = hits.flatMap(({ id, duplicates, text: side }) => [
          { id, score: side?.score ?? 0 },
          ...duplicates.map((other) => ({ id: other, score: expected.get(other) ?? 0 })),
        ]);
        expect(new Set(found.map(({ id }) => id))).toEqual(new Set(expected.keys()));
        for (const { id, score } of found) expect(score).toBeCloseTo(expected.get(id) ?? 0, 9);
      },
    ),
    { numRuns: 150 },
  );
});

test("a filter answers with as many as it was asked for, while that many exist", () => {
  fc.assert(
    fc.property(fc.array(document, { maxLength: 40 }), query, (docs, asked) => {
      const index = built(docs);
      const all: SearchQuery = { ...asked, filter: {}, deep: true, limit: 100, strengthOf };
      const live = new Map(docs.map((doc) => [doc.id, doc]));
      const wanted = (id: string) => {
        const doc = live.get(id) as IndexedDocument;
        const { metadata, taskIds, from, to } = asked.filter as NonNullable<SearchQuery["filter"]>;
        return (
          (asked.deep || doc.hidden !== true) &&
          (metadata === undefined || doc.metadata.team === "blue") &&
          (taskIds === undefined || taskIds.includes(doc.taskId)) &&
          (from === undefined || (doc.at >= from && doc.at < (to as number)))
        );
      };
      const possible = index
        .search(all)
        .flatMap(({ id, duplicates }) => [id, ...duplicates])
        .filter(wanted);
      const answered = index
        .search({ ...asked, limit: 100, strengthOf })
        .flatMap(({ id, duplicates }) => [id, ...duplicates]);
      expect(new Set(answered)).toEqual(new Set(possible));
    }),
    { numRuns: 150 },
  );
});

test("near-duplicates are all those that comparing with every entry finds", () => {
  fc.assert(
    fc.property(fc.array(document, { maxLength: 30 }), text, (docs, asked) => {
      const stems = new Set(documentStems(asked));
      const live = new Map(docs.map((doc) => [doc.id, doc]));
      const expected = [...live.values()].filter((doc) =>
        nearlySame(stems, new Set(documentStems(doc.text))),
      );
      expect(new Set(built(docs).nearDuplicates(asked))).toEqual(
        new Set(expected.map(({ id }) => id)),
      );
    }),
    { numRuns: 150 },
  );
});

test("the best few are the head of a full sort", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(5)), fc.nat(10), (scores, limit) => {
      const best = new Best(limit, (a, b) => a < b);
      for (const [slot, score] of scores.entries()) best.offer(slot, score);
      const sorted = [...scores.entries()].sort((a, b) => b[1] - a[1] || a[0] - b[0]);
      expect(best.sorted().map(({ slot }) => slot)).toEqual(
        sorted.slice(0, limit).map(([slot]) => slot),
      );
    }),
  );
});
