/** The embedded graphs against the suite of all vector stores, once without and once with a graph for every session. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe } from "vitest";
import { HnswIndex } from "../../src/adapters/memory/hnsw-index.ts";
import { vectorIndexSuite } from "./vector-index-suite.ts";

const directory = mkdtempSync(join(tmpdir(), "goclaw-hnsw-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

let places = 0;

describe.each([
  ["scanning", 20_000],
  ["with graphs", 0],
])("HNSW, %s", (_, exactUpTo) => {
  const open = () =>
    HnswIndex.open({
      directory: join(directory, String(places)),
      embedderId: "test/16",
      dimension: 16,
      exactUpTo,
    });
  vectorIndexSuite(() => {
    places++;
    return open();
  }, open);
});
