/**
 * How long a warm hybrid query takes in sessions of 100, 1,000 and 10,000 entries, and how long building an index takes
 * when a session is first used. Texts are drawn from a Zipf-like vocabulary, twenty words an entry, twenty entries a task;
 * `lexical` is the built-in embedder, `semantic` a dense vector of 384 numbers per entry and query.
 */
import { performance } from "node:perf_hooks";
import { type Prng, prng } from "../src/base/hash.ts";
import { HASH_DIMENSION, normalized } from "../src/core/memory/hash-embedding.ts";
import type { IndexedDocument } from "../src/core/memory/query.ts";
import { SessionIndex } from "../src/core/memory/session-index.ts";
import { quantile } from "./figure.ts";

const SIZES = [100, 1_000, 10_000];
const VOCABULARY = 20_000;
const ENTRY_WORDS = 20;
const TASK_ENTRIES = 20;
const QUERY_WORDS = 6;
const DIMENSION = 384;
const WARMUP = 200;
const QUERIES = 500;

/** Two lines per size: the query and the cold build. */
export function* latencyLines(): Generator<object> {
  for (const size of SIZES) {
    for (const embedder of ["lexical", "semantic"] as const) yield* linesOf(size, embedder);
  }
}

function* linesOf(size: number, embedder: "lexical" | "semantic"): Generator<object> {
  const random = prng(size);
  const dense = embedder === "semantic";
  const documents = Array.from({ length: size }, (_, at) => document(at, dense, random));
  const begun = performance.now();
  const index = new SessionIndex(
    dense ? { vectorDimension: DIMENSION } : { hashDimension: HASH_DIMENSION },
  );
  for (const each of documents) index.add(each);
  const ask = () =>
    index.search({
      text: words(QUERY_WORDS, random),
      ...(dense ? { vector: direction(random) } : {}),
      limit: 10,
      embedderKind: embedder,
      strengthOf: () => 0.9,
    });
  ask();
  const buildMs = performance.now() - begun;
  for (let at = 0; at < WARMUP; at++) ask();
  const samples = Array.from({ length: QUERIES }, () => {
    const from = performance.now();
    ask();
    return performance.now() - from;
  });
  yield {
    bench: "memory-query",
    entries: size,
    embedder,
    p50Ms: rounded(quantile(samples, 0.5)),
    p99Ms: rounded(quantile(samples, 0.99)),
    queries: QUERIES,
  };
  yield {
    bench: "memory-open",
    entries: size,
    embedder,
    ms: rounded(buildMs),
    bytes: index.bytes,
  };
}

function document(at: number, dense: boolean, random: Prng): IndexedDocument {
  return {
    id: String(at).padStart(26, "0"),
    text: words(ENTRY_WORDS, random),
    taskId: `t${Math.floor(at / TASK_ENTRIES)}`,
    at: at * 60_000,
    kind: "note",
    metadata: {},
    ...(dense ? { vector: direction(random) } : {}),
  };
}

/** Words by a law close to Zipf's: the logarithm of the rank is uniform. */
function words(count: number, random: Prng): string {
  const word = () => `w${Math.floor(VOCABULARY ** random())}`;
  return Array.from({ length: count }, word).join(" ");
}

function direction(random: Prng): Float32Array {
  return normalized(Float32Array.from({ length: DIMENSION }, () => random() - 0.5));
}

const rounded = (value: number) => Number(value.toPrecision(3));
