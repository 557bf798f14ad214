/** One session's index: who is found, in which order, why, and who is not. */
import { describe, expect, test } from "vitest";
import { normalized } from "../../../../src/core/memory/hash-embedding.ts";
import type { IndexedDocument, SearchQuery } from "../../../../src/core/memory/query.ts";
import { SessionIndex } from "../../../../src/core/memory/session-index.ts";

const HOUR_MS = 3_600_000;

function doc(id: string, text: string, more: Partial<IndexedDocument> = {}): IndexedDocument {
  return { id, text, taskId: "", at: 0, kind: "note", metadata: {}, ...more };
}

function indexOf(docs: readonly IndexedDocument[], dimension?: { hash?: number; vector?: number }) {
  const index = new SessionIndex({
    ...(dimension?.hash === undefined ? {} : { hashDimension: dimension.hash }),
    ...(dimension?.vector === undefined ? {} : { vectorDimension: dimension.vector }),
  });
  for (const each of docs) index.add(each);
  return index;
}

const asked = (text: string, more: Partial<SearchQuery> = {}): SearchQuery => ({
  text,
  limit: 10,
  embedderKind: "none",
  strengthOf: () => 1,
  ...more,
});

const ids = (index: SessionIndex, query: SearchQuery) => index.search(query).map(({ id }) => id);

describe("words", () => {
  test("rare words count more than common ones", () => {
    const index = indexOf([
      doc("a", "the harbour boat boat boat"),
      doc("b", "the harbour lighthouse"),
      doc("c", "another boat"),
      doc("d", "one more boat at sea"),
    ]);
    expect(ids(index, asked("boat lighthouse"))[0]).toBe("b");
  });

  test("a query without known words finds nothing", () => {
    const index = indexOf([doc("a", "harbour")]);
    expect(index.search(asked("volcano"))).toEqual([]);
    expect(index.search(asked("the of"))).toEqual([]);
    expect(new SessionIndex().search(asked("harbour"))).toEqual([]);
  });

  test.each([
    ["Chinese", "我们在杭州的西湖边喝茶", "西湖喝茶", "昨天的会议推迟到星期五"],
    ["Japanese", "京都の金閣寺を訪れました", "金閣寺はどこ", "明日は会議があります"],
    ["Korean", "서울에서 김치를 만들었다", "김치는 어디", "내일 회의가 있습니다"],
  ])("%s is found by its words, with other particles around them", (_, text, query, other) => {
    const index = indexOf([doc("other", other), doc("wanted", text)]);
    expect(ids(index, asked(query))).toEqual(["wanted"]);
  });

  test("a single Chinese character is found inside a word", () => {
    expect(ids(indexOf([doc("a", "黑猫"), doc("b", "白狗")]), asked("猫"))).toEqual(["a"]);
  });

  test("a hit names the words it matched, those of its neighbours included", () => {
    const index = indexOf([
      doc("a", "which harbour", { taskId: "t", at: 1 }),
      doc("b", "lighthouse", { taskId: "t", at: 2 }),
    ]);
    expect(index.search(asked("harbours near lighthouses"))).toMatchObject([
      { id: "b", matchedTerms: ["harbour", "lighthous"], text: { rank: 1 } },
      { id: "a", matchedTerms: ["harbour", "lighthous"], text: { rank: 2 } },
    ]);
  });

  test("frequencies of a larger collection replace the session's own", () => {
    const docs = [doc("a", "harbour"), doc("b", "lighthouse"), doc("c", "lighthouse")];
    const rare = { documents: 1_000, frequency: (stem: string) => (stem === "harbour" ? 900 : 2) };
    const index = new SessionIndex({ statistics: rare });
    for (const each of docs) index.add(each);
    expect(ids(indexOf(docs), asked("harbour lighthouse"))[0]).toBe("a");
    expect(ids(index, asked("harbour lighthouse"))[0]).toBe("b");
  });
});

describe("neighbours", () => {
  const talk = [
    doc("q", "where did you grow up", { taskId: "t", at: 1 }),
    doc("r", "in Lisbon", { taskId: "t", at: 2 }),
    doc("s", "nice", { taskId: "t", at: 3 }),
    doc("u", "in Porto", { taskId: "other", at: 2 }),
  ];

  test("an answer is found by the words of its question, of its own task only", () => {
    expect(ids(indexOf(talk), asked("grow up"))).toEqual(["q", "r", "s"]);
  });

  test("own words count most, then the previous entry, the next, the second ones", () => {
    const order = ["p2", "p1", "own", "n1", "n2"].map((id, at) =>
      doc(id, id === "own" ? "marker" : `filler${at}`, { taskId: "t", at }),
    );
    expect(ids(indexOf(order), asked("marker"))).toEqual(["own", "n1", "p1", "n2", "p2"]);
  });

  test("entries without a task stand alone", () => {
    const alone = talk.map((each) => ({ ...each, taskId: "" }));
    expect(ids(indexOf(alone), asked("grow up"))).toEqual(["q"]);
  });

  test("whatever comes late or goes away, neighbours follow", () => {
    const index = indexOf([talk[1], talk[2]] as IndexedDocument[]);
    expect(ids(index, asked("grow up"))).toEqual([]);
    index.add(talk[0] as IndexedDocument);
    expect(ids(index, asked("grow up"))).toEqual(["q", "r", "s"]);
    index.remove("q");
    expect(ids(index, asked("grow up"))).toEqual([]);
  });
});

describe("who may answer", () => {
  const many = Array.from({ length: 500 }, (_, at) =>
    doc(`e${String(at).padStart(3, "0")}`, "harbour", { at: at * HOUR_MS }),
  );

  test("filters come before the cut", () => {
    const index = indexOf([
      ...many,
      doc("z", `harbour ${"sea ".repeat(50)}`, { metadata: { team: "blue" } }),
    ]);
    expect(ids(index, asked("harbour", { filter: { metadata: { team: "blue" } } }))).toEqual(["z"]);
  });

  test("every condition given must hold", () => {
    const index = indexOf([
      doc("a", "harbour one", { kind: "fact", taskId: "t1", at: 5, metadata: { x: "1" } }),
      doc("b", "harbour two", { kind: "fact", taskId: "t2", at: 6, metadata: { x: "1", y: "2" } }),
      doc("c", "harbour three", { kind: "note", taskId: "t3", at: 7 }),
    ]);
    const found = (filter: SearchQuery["filter"]) =>
      ids(index, asked("harbour", filter === undefined ? {} : { filter })).toSorted();
    expect(found({ kinds: ["fact"] })).toEqual(["a", "b"]);
    expect(found({ kinds: ["fact"], taskIds: ["t2", "t3"] })).toEqual(["b"]);
    expect(found({ metadata: { x: "1" } })).toEqual(["a", "b"]);
    expect(found({ metadata: { x: "1", y: "2" } })).toEqual(["b"]);
    expect(found({ metadata: { toString: "x" } })).toEqual([]);
    expect(found({ from: 6 })).toEqual(["b", "c"]);
    expect(found({ to: 6 })).toEqual(["a"]);
    expect(found({ kinds: [] })).toEqual([]);
  });

  test("hidden entries are found only by a deep query", () => {
    const index = indexOf([doc("a", "harbour", { hidden: true }), doc("b", "harbour wall")]);
    expect(ids(index, asked("harbour"))).toEqual(["b"]);
    expect(ids(index, asked("harbour", { deep: true }))).toEqual(["a", "b"]);
  });

  test("a removed entry is gone, a replaced one has its new words only", () => {
    const index = indexOf([doc("a", "harbour"), doc("b", "harbour wall")]);
    index.remove("a");
    index.remove("a");
    index.add(doc("b", "lighthouse"));
    expect(ids(index, asked("harbour"))).toEqual([]);
    expect(ids(index, asked("lighthouse"))).toEqual(["b"]);
    expect(index.size).toBe(1);
  });
});

describe("order", () => {
  test("equal scores: the newest first, then by id", () => {
    const index = indexOf([
      doc("b", "harbour one", { at: 1 }),
      doc("a", "harbour two", { at: 1 }),
      doc("c", "harbour three", { at: 2 }),
    ]);
    expect(ids(index, asked("harbour"))).toEqual(["c", "a", "b"]);
  });

  test("strength moves a score by a tenth at most", () => {
    const index = indexOf([doc("a", "harbour one"), doc("b", "harbour two")]);
    const strengthOf = (id: string) => (id === "a" ? 0.5 : 1);
    const [first, second] = index.search(asked("harbour", { strengthOf, fusion: "relative" }));
    expect(first).toMatchObject({ id: "b", strength: 1, score: 1 });
    expect(second).toMatchObject({ id: "a", strength: 0.5 });
    expect(second?.score).toBeCloseTo(0.95, 12);
    const undamped = index.search(asked("harbour", { strengthOf, damping: 0 }));
    expect(undamped.map(({ id }) => id)).toEqual(["a", "b"]);
  });

  test("no more than the limit, also when it passes a side's hundred", () => {
    const index = indexOf(
      Array.from({ length: 300 }, (_, at) => doc(`e${at}`, `harbour number${at}`)),
    );
    expect(index.search(asked("harbour", { limit: 3 }))).toHaveLength(3);
    expect(index.search(asked("harbour", { limit: 250 }))).toHaveLength(250);
    expect(index.search(asked("harbour", { limit: 0 }))).toEqual([]);
  });
});

describe("near-duplicates", () => {
  const words = "one two three four five six seven eight nine ten red green blue white";

  test("are one result that names the others", () => {
    const index = indexOf([doc("a", words), doc("b", `${words} maroon`), doc("c", "three cups")]);
    expect(index.search(asked("three red"))).toMatchObject([
      { id: "a", duplicates: ["b"] },
      { id: "c", duplicates: [] },
    ]);
  });

  test("do not crowd out others, however many there are", () => {
    const copies = Array.from({ length: 668 }, (_, at) => doc(`e${at}`, "harbour wall", { at }));
    const index = indexOf([doc("other", "one long tale about a harbour and much else"), ...copies]);
    expect(ids(index, asked("harbour wall", { limit: 2 }))).toEqual(["e667", "other"]);
  });

  test("are known to the write gate, oldest first", () => {
    const index = indexOf([
      doc("new", words, { at: 2 }),
      doc("old", `${words} maroon`, { at: 1 }),
      doc("half", "one two three four five"),
    ]);
    expect(index.nearDuplicates(words)).toEqual(["old", "new"]);
    expect(index.nearDuplicates("…")).toEqual([]);
  });

  test("diversity brings an unlike entry forward, and only when asked", () => {
    const index = indexOf([
      doc("a", "harbour harbour wall repair north"),
      doc("b", "harbour harbour wall repair south"),
      doc("c", "harbour festival music and many more words beside"),
    ]);
    expect(ids(index, asked("harbour wall"))).toEqual(["a", "b", "c"]);
    expect(ids(index, asked("harbour wall", { mmr: 0.5 }))).toEqual(["a", "c", "b"]);
  });
});

describe("vectors", () => {
  const unit = (...values: number[]) => normalized(Float32Array.from(values));
  const semantic = (more: Partial<SearchQuery>) =>
    asked("harbour", { embedderKind: "semantic", ...more });
  const docs = [
    doc("words", "harbour", { vector: unit(0, 1, 0, 0) }),
    doc("sense", "port where ships lie", { vector: unit(1, 0.1, 0, 0) }),
    doc("late", "quay"),
  ];

  test("find what the words do not, and every hit says which side found it", () => {
    const index = indexOf(docs, { vector: 4 });
    const [first, second] = index.search(semantic({ vector: unit(1, 0, 0, 0) }));
    expect(first).toMatchObject({ id: "sense", vector: { rank: 1 } });
    expect(first).not.toHaveProperty("text");
    expect(second).toMatchObject({ id: "words", text: { rank: 1 } });
    expect(second).not.toHaveProperty("vector");
  });

  test("an entry joins when its vector comes", () => {
    const index = indexOf(docs, { vector: 4 });
    expect(index.setVector("late", unit(1, 0, 0, 0))).toBe(true);
    expect(index.setVector("gone", unit(1, 0, 0, 0))).toBe(false);
    expect(ids(index, semantic({ vector: unit(1, 0, 0, 0) }))[0]).toBe("late");
  });

  test("a place used again does not keep the vector of its last entry", () => {
    const index = indexOf(docs, { vector: 4 });
    index.remove("sense");
    index.add(doc("fresh", "unrelated"));
    expect(ids(index, semantic({ vector: unit(1, 0, 0, 0) }))).toEqual(["words"]);
  });

  test("without a query vector the words alone answer", () => {
    expect(ids(indexOf(docs, { vector: 4 }), semantic({}))).toEqual(["words"]);
  });

  test("answers of an outside index stand in for the scan, under the same filters", () => {
    const index = indexOf([...docs, doc("h", "quay wall", { hidden: true })], { vector: 4 });
    const vectorHits = [
      { id: "h", score: 0.9 },
      { id: "erased", score: 0.8 },
      { id: "late", score: 0.7 },
    ];
    expect(ids(index, semantic({ vectorHits }))).toEqual(["late", "words"]);
  });

  test("the built-in embedder needs none, and follows changes of neighbours", () => {
    const index = indexOf(
      [doc("a", "harbour", { taskId: "t", at: 1 }), doc("c", "meadow flowers")],
      { hash: 384 },
    );
    const lexical = (text: string) =>
      index.search(asked(text, { embedderKind: "lexical", weights: { vector: 1, text: 0 } }));
    expect(lexical("lighthouse")).toEqual([]);
    index.add(doc("b", "lighthouse", { taskId: "t", at: 2 }));
    const [first, second] = lexical("lighthouse");
    expect(first).toMatchObject({ id: "b", vector: { rank: 1 } });
    expect(second).toMatchObject({ id: "a", vector: { rank: 2 } });
    index.remove("b");
    index.add(doc("d", "lighthouse far off"));
    expect(lexical("lighthouse")[0]?.id).toBe("d");
  });
});

test("the size in bytes grows with entries and falls to nothing for them", () => {
  const index = new SessionIndex();
  expect(index.bytes).toBe(0);
  index.add(doc("a", "harbour lighthouse", { metadata: { team: "blue" } }));
  const one = index.bytes;
  index.add(doc("b", "harbour meadow"));
  expect(index.bytes).toBeGreaterThan(one);
  index.remove("b");
  expect(index.bytes).toBe(one);
  index.remove("a");
  expect(index.bytes).toBe(0);
});
