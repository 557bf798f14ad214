/**
 * The vector stores against one suite: the twin in memory, LanceDB for real, Weaviate's API at a double, and Chroma at
 * its own server, which comes with its npm package. Where that server's binary does not run, its tests fail rather than
 * pass unseen.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ChromaIndex } from "../../src/adapters/memory/chroma-index.ts";
import { LanceDbIndex } from "../../src/adapters/memory/lancedb-index.ts";
import { WeaviateIndex } from "../../src/adapters/memory/weaviate-index.ts";
import { SystemHost } from "../../src/adapters/system-host.ts";
import { MemoryVectorIndex } from "../support/memory-vector-index.ts";
import { WeaviateDouble } from "../support/weaviate-double.ts";
import { vectorIndexSuite } from "./vector-index-suite.ts";

const host = new SystemHost();
const directory = mkdtempSync(join(tmpdir(), "goclaw-vectors-"));
afterAll(() => {
  host.close();
  rmSync(directory, { recursive: true, force: true });
});

let places = 0;
const failed = expect.objectContaining({
  fault: expect.objectContaining({ code: "VECTOR_STORE_FAILED" }),
});

describe("the twin in memory", () => {
  vectorIndexSuite(async () => new MemoryVectorIndex());
});

describe("LanceDB", () => {
  const open = () =>
    LanceDbIndex.open({ directory: join(directory, `lance-${places}`), embedderId: "test/16" });
  vectorIndexSuite(() => {
    places++;
    return open();
  }, open);

  test("an embedder finds only its own collection", async () => {
    places++;
    const first = await open();
    await first.upsert([
      {
        sessionId: "default/a",
        id: "01JD0000000000000000000001",
        vector: new Float32Array([1, 0]),
      },
    ]);
    const other = await LanceDbIndex.open({
      directory: join(directory, `lance-${places}`),
      embedderId: "other/3",
    });
    expect(await other.count()).toBe(0);
    await Promise.all([first.close(), other.close()]);
  });

  test("a directory it cannot have is said to be the problem", async () => {
    await expect(
      LanceDbIndex.open({ directory: "/proc/goclaw", embedderId: "x" }).then((index) =>
        index.upsert([{ sessionId: "a/b", id: "x", vector: new Float32Array([1]) }]),
      ),
    ).rejects.toEqual(failed);
  });
});

describe("Weaviate's API", () => {
  const double = new WeaviateDouble();
  beforeAll(() => double.start());
  afterAll(() => double.stop());
  const open = async () => new WeaviateIndex({ url: double.url, embedderId: "test/16" }, { host });
  vectorIndexSuite(() => {
    double.clear();
    return open();
  }, open);

  test("a vector it refuses is an error, not a silence", async () => {
    double.clear();
    const index = await open();
    const item = {
      sessionId: "default/a",
      id: "01JD0000000000000000000001",
      vector: new Float32Array([1, 0]),
    };
    await index.upsert([item]);
    const longer = {
      ...item,
      id: "01JD0000000000000000000002",
      vector: new Float32Array([1, 0, 0]),
    };
    await expect(index.upsert([longer])).rejects.toEqual(failed);
  });
});

describe("a Chroma server", () => {
  let server: ChildProcess;
  let url = "";
  beforeAll(async () => {
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    const program = join(import.meta.dirname, "../../node_modules/chromadb/dist/cli.mjs");
    const place = join(directory, "chroma");
    server = spawn(process.execPath, [program, "run", "--path", place, "--port", String(port)], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    await answers(`${url}/api/v2/heartbeat`, server);
  });
  afterAll(async () => {
    const ended = once(server, "exit");
    server.kill("SIGKILL");
    await ended;
  });
  const open = async () => new ChromaIndex({ url, embedderId: `test/${places}` }, { host });
  vectorIndexSuite(() => {
    places++;
    return open();
  }, open);

  test("a server that is not there is an error that may pass", async () => {
    const index = new ChromaIndex(
      { url: `http://127.0.0.1:${await freePort()}`, embedderId: "x" },
      { host },
    );
    await expect(index.count()).rejects.toEqual(failed);
  });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** Resolves when an address answers; rejects with what the server printed when it ended before. */
async function answers(url: string, server: ChildProcess): Promise<void> {
  let printed = "";
  server.stderr?.on("data", (chunk: Buffer) => {
    printed += chunk.toString();
  });
  server.stdout?.resume();
  const ended = once(server, "exit").then(() => {
    throw new Error(`the Chroma server ended: ${printed}`);
  });
  const asked = (async () => {
    for (;;) {
      const answer = await fetch(url).catch(() => undefined);
      if (answer?.ok) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  })();
  await Promise.race([asked, ended]);
}
