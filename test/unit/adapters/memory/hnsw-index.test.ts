/**
 * Graphs in a thread: what every vector index guarantees, that graphs are really used and found good, and that neither
 * churn, a crash, a damaged file nor a missing package ever shortens an answer. Needs the compiled package.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { deleteGraph, readGraph, writeGraph } from "../../../../src/adapters/memory/graph-file.ts";
import { HnswIndex } from "../../../../src/adapters/memory/hnsw-index.ts";
import {
  type GraphLibrary,
  loadGraphLibrary,
} from "../../../../src/adapters/memory/hnsw-library.ts";
import { VectorLog, type VectorRecord } from "../../../../src/adapters/memory/vector-log.ts";
import { VectorShelf } from "../../../../src/adapters/memory/vector-shelf.ts";
import { present } from "../../../../src/base/assert.ts";
import { type Prng, prng } from "../../../../src/base/hash.ts";

const DIMENSION = 16;
let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "hnsw-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function unit(random: Prng): Float32Array {
  const vector = Float32Array.from({ length: DIMENSION }, () => random() - 0.5);
  const length = Math.hypot(...vector);
  return vector.map((value) => value / length);
}

const idOf = (at: number) => `e${String(at).padStart(5, "0")}`;
const itemsOf = (sessionId: string, count: number, random: Prng) =>
  Array.from({ length: count }, (_, at) => ({ sessionId, id: idOf(at), vector: unit(random) }));
const product = (a: Float32Array, b: Float32Array) =>
  a.reduce((sum, value, at) => sum + value * (b[at] as number), 0);
const nearest = (
  items: readonly { id: string; vector: Float32Array }[],
  query: Float32Array,
  n: number,
) =>
  items
    .toSorted((a, b) => product(b.vector, query) - product(a.vector, query))
    .slice(0, n)
    .map(({ id }) => id);

const open = (exactUpTo = 100) =>
  HnswIndex.open({ directory, embedderId: "test", dimension: DIMENSION, exactUpTo });
const library = (): GraphLibrary => present(loadGraphLibrary(), "the compiled hnswlib-node");
const graphFiles = () => {
  const [name = ""] = readdirSync(directory);
  return readdirSync(join(directory, name, "graphs")).map((file) =>
    join(directory, name, "graphs", file),
  );
};

describe("the index", () => {
  test("answers with the nearest of its own session, best first, as many as there are", async () => {
    const random = prng(1);
    const index = await open();
    const [mine, others] = [itemsOf("a:1", 20, random), itemsOf("a", 20, random)];
    await index.upsert([...mine, ...others]);
    const query = unit(random);
    const hits = await index.search("a:1", query, 5);
    expect(hits.map(({ id }) => id)).toEqual(nearest(mine, query, 5));
    expect(hits[0]?.score).toBeCloseTo(
      product(
        present(
          mine.find(({ id }) => id === hits[0]?.id),
          "hit",
        ).vector,
        query,
      ),
      5,
    );
    expect(await index.search("a:1", query, 100)).toHaveLength(20);
    expect(await index.search("nobody", query, 5)).toEqual([]);
    expect(await index.search("a", query, 0)).toEqual([]);
    await index.close();
  });

  test("putting again replaces, removing and erasing are idempotent", async () => {
    const random = prng(2);
    const index = await open();
    const [first, second] = [idOf(0), idOf(1)];
    await index.upsert(itemsOf("s", 2, random));
    await index.upsert(itemsOf("s", 2, random));
    expect(await index.count()).toBe(2);
    await index.remove("s", [first]);
    await index.remove("s", [first, "unknown"]);
    expect((await index.search("s", unit(random), 9)).map(({ id }) => id)).toEqual([second]);
    await index.eraseSession("s");
    await index.eraseSession("s");
    expect(await index.count()).toBe(0);
    await index.close();
  });

  test("keeps everything over a restart, without a clean end too", async () => {
    const random = prng(3);
    const items = itemsOf("s", 150, random);
    const query = unit(random);
    const index = await open();
    await index.upsert(items);
    await index.remove("s", [idOf(7)]);
    // The same directory read by a second life, as after a crash of the first.
    const next = await open();
    const left = items.filter(({ id }) => id !== idOf(7));
    expect((await next.search("s", query, 10)).map(({ id }) => id)).toEqual(
      nearest(left, query, 10),
    );
    expect(await next.count()).toBe(149);
    await next.close();
    await index.close();
  });

  test("erased means gone from disk", async () => {
    const index = await open();
    await index.upsert([{ sessionId: "secret", id: "x", vector: unit(prng(4)) }]);
    const [name = ""] = readdirSync(directory);
    const log = () => readFileSync(join(directory, name, "vectors.log")).includes("secret");
    expect(log()).toBe(true);
    await index.eraseSession("secret");
    expect(log()).toBe(false);
    await index.close();
  });

  test("refuses a vector of another dimension, and goes on", async () => {
    const index = await open();
    const wrong = { sessionId: "s", id: "x", vector: new Float32Array(3) };
    await expect(index.upsert([wrong])).rejects.toMatchObject({
      fault: { code: "VECTOR_STORE_FAILED", store: "hnsw", operation: "write" },
    });
    expect(await index.count()).toBe(0);
    await index.close();
  });

  test("refuses everything after it was closed", async () => {
    const index = await open();
    await index.close();
    await index.close();
    await expect(index.count()).rejects.toMatchObject({ fault: { code: "VECTOR_STORE_FAILED" } });
  });

  test("a large session gets a graph, which a clean end leaves on disk and a damaged one does not survive", async () => {
    const random = prng(5);
    const items = itemsOf("s", 400, random);
    const first = await open();
    expect(first.graphs).toBe(true);
    await first.upsert(items);
    await first.close();
    const [graph = "", header = ""] = graphFiles();
    expect(header).toBe(`${graph}.header`);

    const bytes = readFileSync(graph);
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 1;
    writeFileSync(graph, bytes);
    const second = await open();
    const query = unit(random);
    expect((await second.search("s", query, 10)).map(({ id }) => id)).toEqual(
      nearest(items, query, 10),
    );
    expect(existsSync(graph)).toBe(false);
    await second.close();
  });
});

describe("a shelf with a graph", () => {
  const filled = (count: number, random: Prng, using: GraphLibrary | undefined = library()) => {
    const shelf = new VectorShelf({ dimension: DIMENSION, library: using, exactUpTo: 100 });
    const items = itemsOf("s", count, random);
    for (const [at, { id, vector }] of items.entries()) shelf.put(at + 1, id, vector);
    return { shelf, items };
  };

  test("is exact until its graph has everything, and then nearly", () => {
    const random = prng(6);
    const { shelf, items } = filled(1_000, random);
    expect(shelf.graph).toBeUndefined();
    while (!shelf.catchUp(64)) expect(shelf.graph).toBeUndefined();
    expect(shelf.graph?.size).toBe(1_000);
    let found = 0;
    for (let at = 0; at < 50; at++) {
      const query = unit(random);
      const wanted = new Set(nearest(items, query, 10));
      found += shelf.search(query, 10).filter(({ id }) => wanted.has(id)).length;
    }
    expect(found).toBeGreaterThanOrEqual(490);
  });

  test("never answers short under churn, and never with a removed one", () => {
    const random = prng(7);
    const { shelf } = filled(600, random);
    shelf.catchUp(1_000);
    for (let at = 0; at < 450; at++) {
      shelf.remove(idOf(at));
      const hits = shelf.search(unit(random), 20);
      expect(hits).toHaveLength(20);
      expect(hits.every(({ id }) => id > idOf(at))).toBe(true);
    }
  });

  test("drops a graph that is mostly removed ones, and one of a session that shrank", () => {
    const { shelf } = filled(600, prng(8));
    shelf.catchUp(1_000);
    for (let at = 0; at < 200; at++) shelf.remove(idOf(at));
    shelf.catchUp(1_000);
    expect(shelf.graph?.size).toBe(400);
    for (let at = 200; at < 550; at++) shelf.remove(idOf(at));
    shelf.catchUp(1_000);
    expect(shelf.graph).toBeUndefined();
  });

  test("without the package it compares one by one", () => {
    const random = prng(9);
    const shelf = new VectorShelf({ dimension: DIMENSION, library: undefined, exactUpTo: 100 });
    const items = itemsOf("s", 300, random);
    for (const [at, { id, vector }] of items.entries()) shelf.put(at + 1, id, vector);
    expect(shelf.catchUp(64)).toBe(true);
    const query = unit(random);
    expect(shelf.search(query, 5).map(({ id }) => id)).toEqual(nearest(items, query, 5));
  });

  test("puts a graph from disk right: what it has too much and what it lacks", () => {
    const random = prng(10);
    const { shelf, items } = filled(300, random);
    shelf.catchUp(1_000);
    const path = join(directory, "graph");
    const of = { sessionId: "s", dimension: DIMENSION };
    writeGraph(path, { ...of, watermark: 300 }, present(shelf.graph, "graph"));

    const later = new VectorShelf({ dimension: DIMENSION, library: library(), exactUpTo: 100 });
    for (const [at, { id, vector }] of items.entries()) if (at >= 10) later.put(at + 1, id, vector);
    const added = unit(random);
    later.put(301, "new", added);
    later.adopt(present(readGraph(library(), path, of), "stored graph"));
    expect(later.graph).toBeUndefined();
    later.catchUp(1_000);
    expect(later.graph?.size).toBe(301);
    expect(later.search(added, 1)[0]?.id).toBe("new");
    const all = later.search(present(items[0], "item").vector, 291).map(({ id }) => id);
    expect(new Set(all)).toEqual(new Set([...items.slice(10).map(({ id }) => id), "new"]));
  });
});

describe("a graph file", () => {
  const of = { sessionId: "s", dimension: DIMENSION };
  const written = () => {
    const path = join(directory, "graph");
    const graph = library().create(DIMENSION, 50);
    const random = prng(11);
    for (let label = 1; label <= 50; label++) graph.add(label, unit(random));
    writeGraph(path, { ...of, watermark: 50 }, graph);
    return path;
  };

  test("reads back what it says it is", () => {
    const stored = readGraph(library(), written(), of);
    expect(stored?.watermark).toBe(50);
    expect(stored?.graph.labels()).toHaveLength(50);
  });

  test("does not exist for another session or dimension, or after it was deleted", () => {
    const path = written();
    expect(readGraph(library(), path, { ...of, sessionId: "t" })).toBeUndefined();
    expect(readGraph(library(), path, { ...of, dimension: 8 })).toBeUndefined();
    deleteGraph(path);
    expect(readGraph(library(), path, of)).toBeUndefined();
  });

  test("does not exist with any byte flipped, cut short, or without its header", () => {
    const path = written();
    const bytes = readFileSync(path);
    for (let at = 0; at < bytes.length; at += 97) {
      const flipped = Buffer.from(bytes);
      flipped[at] = (flipped[at] as number) ^ 0x10;
      writeFileSync(path, flipped);
      expect(readGraph(library(), path, of)).toBeUndefined();
    }
    writeFileSync(path, bytes.subarray(0, -1));
    expect(readGraph(library(), path, of)).toBeUndefined();
    writeFileSync(path, bytes);
    expect(readGraph(library(), path, of)).toBeDefined();
    rmSync(`${path}.header`);
    expect(readGraph(library(), path, of)).toBeUndefined();
  });
});

describe("the log", () => {
  const put = (number: number): VectorRecord => ({
    kind: "put",
    number,
    sessionId: "s:é\u0000",
    id: idOf(number),
    vector: unit(prng(number)),
  });
  const readAll = (path: string) => {
    const records: VectorRecord[] = [];
    const log = new VectorLog(path, (record) => records.push(record));
    return { log, records };
  };

  test("gives back what was appended, whatever the bytes of a session's name", () => {
    const path = join(directory, "log");
    const { log } = readAll(path);
    const records: VectorRecord[] = [put(1), { kind: "remove", sessionId: "s", id: "e" }, put(2)];
    log.append(records.slice(0, 1));
    log.append(records.slice(1));
    log.close();
    const again = readAll(path);
    expect(again.records).toEqual(records);
    again.log.rewrite([put(9)]);
    again.log.append([put(10)]);
    again.log.close();
    expect(readAll(path).records).toEqual([put(9), put(10)]);
  });

  test("ends at a torn record, wherever it was cut, and goes on from there", () => {
    const path = join(directory, "log");
    const first = readAll(path);
    first.log.append([put(1)]);
    const whole = readFileSync(path).length;
    first.log.append([put(2)]);
    first.log.close();
    const bytes = readFileSync(path);
    for (let end = whole; end < bytes.length; end += 5) {
      writeFileSync(path, bytes.subarray(0, end));
      const { log, records } = readAll(path);
      expect(records).toEqual([put(1)]);
      log.append([put(3)]);
      log.close();
      expect(readAll(path).records).toEqual([put(1), put(3)]);
    }
  });
});
