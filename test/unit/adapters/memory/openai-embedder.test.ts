/** The HTTP embedder against a small server that answers well, slowly, wrongly or not at all. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  OpenAiEmbedder,
  type OpenAiEmbedderOptions,
} from "../../../../src/adapters/memory/openai-embedder.ts";
import { SystemHost } from "../../../../src/adapters/system-host.ts";

interface Seen {
  readonly path: string;
  readonly key: string | undefined;
  readonly body: { readonly model: string; readonly input: readonly string[] };
}

/** A host that does not wait and notes how long it would have. */
class HastyHost extends SystemHost {
  readonly waits: number[] = [];
  ahead = 0;

  override elapsedMs(): number {
    return super.elapsedMs() + this.ahead;
  }

  override random(): number {
    return 0.5;
  }

  override setTimer(delayMs: number, run: () => void) {
    if (delayMs >= 25_000) return super.setTimer(delayMs, run);
    this.waits.push(delayMs);
    return super.setTimer(0, run);
  }
}

let url = "";
const seen: Seen[] = [];
let answer: (seen: Seen, response: ServerResponse) => void;

const vectorsOf = ({ body }: Seen) => ({
  data: body.input.map((text, index) => ({ index, embedding: [text.length, 1] })).reverse(),
});
const well = (request: Seen, response: ServerResponse) =>
  response.end(JSON.stringify(vectorsOf(request)));

const server = createServer(async (request: IncomingMessage, response) => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const one = {
    path: request.url ?? "",
    key: request.headers.authorization,
    body: JSON.parse(Buffer.concat(chunks).toString()),
  };
  seen.push(one);
  answer(one, response);
});

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

let host: HastyHost;
beforeEach(() => {
  seen.length = 0;
  answer = well;
  host = new HastyHost();
});

const make = (more: Partial<OpenAiEmbedderOptions> = {}) =>
  new OpenAiEmbedder({ url, model: "m", dimension: 2, kind: "semantic", ...more }, { host });
const failed = (detail: string) =>
  expect.objectContaining({ fault: { code: "EMBEDDER_FAILED", embedder: "openai/m/2", detail } });
const status =
  (code: number, headers = {}) =>
  (_: Seen, response: ServerResponse) =>
    response.writeHead(code, headers).end("{}");

describe("vectors", () => {
  test("come in the order of the texts, of length 1, with the key and model sent", async () => {
    const vectors = await make({ apiKey: "secret" }).embed(["abc", "def"]);
    expect(
      vectors.map((vector) => [...vector].map((part) => Math.round(part * 1e4) / 1e4)),
    ).toEqual([
      [0.9487, 0.3162],
      [0.9487, 0.3162],
    ]);
    expect(seen).toMatchObject([
      { path: "/v1/embeddings", key: "Bearer secret", body: { model: "m", input: ["abc", "def"] } },
    ]);
  });

  test("are asked for in batches, once for equal texts, and remembered", async () => {
    const embedder = make({ batchMax: 2, cacheTexts: 3 });
    expect(await embedder.embed(["a", "b", "a", "c"])).toHaveLength(4);
    expect(seen.map(({ body }) => body.input)).toEqual([["a", "b"], ["c"]]);
    await embedder.embed(["c", "d", "e"]);
    expect(seen.at(-1)?.body.input).toEqual(["d", "e"]);
    await embedder.embed(["a"]);
    expect(seen.at(-1)?.body.input).toEqual(["a"]);
    expect(make().batchMax).toBe(256);
  });
});

describe("failures", () => {
  test.each([429, 500, 503])("%d is tried again, later each time", async (code) => {
    let left = 2;
    answer = (request, response) =>
      left-- > 0 ? status(code)(request, response) : well(request, response);
    expect(await make().embed(["a"])).toHaveLength(1);
    expect(host.waits).toEqual([187.5, 375]);
  });

  test("the server's own wait is kept", async () => {
    let left = 1;
    answer = (request, response) =>
      left-- > 0 ? status(429, { "retry-after": "2" })(request, response) : well(request, response);
    await make().embed(["a"]);
    expect(host.waits).toEqual([2_000]);
  });

  test("ends after the last attempt", async () => {
    answer = status(503);
    await expect(make({ attempts: 3 }).embed(["a"])).rejects.toEqual(
      failed("the server answered 503"),
    );
    expect(seen).toHaveLength(3);
  });

  test.each([
    ["a refusal", status(401), "the server answered 401"],
    [
      "text",
      (_: Seen, response: ServerResponse) => response.end("hello"),
      "the server answered something that is not JSON",
    ],
    [
      "too few vectors",
      (_: Seen, response: ServerResponse) => response.end('{"data":[]}'),
      "the server answered another number of vectors",
    ],
    [
      "a short vector",
      (_: Seen, response: ServerResponse) => response.end('{"data":[{"embedding":[1]}]}'),
      "the server answered a vector that has not 2 numbers",
    ],
    [
      "no direction",
      (_: Seen, response: ServerResponse) => response.end('{"data":[{"embedding":[0,0]}]}'),
      "the server answered a vector that has not 2 numbers",
    ],
  ] as const)("%s is not tried again", async (_, broken, detail) => {
    answer = broken;
    await expect(make().embed(["a"])).rejects.toEqual(failed(detail));
    expect(seen).toHaveLength(1);
  });

  test("a server that is not there", async () => {
    const gone = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => gone.once("listening", resolve));
    const { port } = gone.address() as AddressInfo;
    await new Promise((resolve) => gone.close(resolve));
    const embedder = make({ url: `http://127.0.0.1:${port}/v1`, attempts: 2 });
    await expect(embedder.embed(["a"])).rejects.toEqual(
      failed("the server cannot be reached (ECONNREFUSED)"),
    );
  });

  test("a server that does not answer in time", async () => {
    answer = () => {};
    const embedder = make({ timeoutMs: 20, attempts: 1 });
    await expect(embedder.embed(["a"])).rejects.toEqual(failed("no answer within 20 ms"));
  });

  test("after some in a row it is left alone for a while, then tried once more", async () => {
    answer = status(400);
    const embedder = make({ breakAfter: 2, breakMs: 60_000 });
    for (let n = 0; n < 2; n++) await expect(embedder.embed(["broken"])).rejects.toThrow("400");
    answer = well;
    await expect(embedder.embed(["broken"])).rejects.toThrow("left alone");
    expect(seen.filter(({ body }) => body.input[0] === "broken")).toHaveLength(2);
    host.ahead = 60_001;
    expect(await embedder.embed(["broken"])).toHaveLength(1);
  });
});
