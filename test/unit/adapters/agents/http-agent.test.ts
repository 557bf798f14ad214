/** The `http` agent against a real server on this machine, and against resolvers that lie. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FunctionTransport } from "../../../../src/adapters/agents/function-transport.ts";
import { httpAgent } from "../../../../src/adapters/agents/http-agent.ts";
import type { Resolve } from "../../../../src/adapters/agents/http-exchange.ts";
import { SystemHost } from "../../../../src/adapters/system-host.ts";
import type { Outcome } from "../../../../src/core/run/message.ts";
import type { Agent } from "../../../../src/ports/agent-context.ts";
import { assignment, outputOf, Recorder } from "../../../support/attempts.ts";

type Handler = (request: IncomingMessage, response: ServerResponse, body: string) => void;

interface Seen {
  readonly path: string;
  readonly method: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

const servers: Server[] = [];
let seen: Seen[];
let host: SystemHost;
let recorder: Recorder;

beforeEach(() => {
  seen = [];
  host = new SystemHost();
  recorder = new Recorder();
});

afterEach(async () => {
  host.close();
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

/** Starts a server and returns its port. */
async function serve(handler: Handler): Promise<number> {
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    const { url = "", method = "", headers } = request;
    seen.push({ path: url, method, headers, body });
    handler(request, response, body);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

const LOOPBACK: Resolve = () => Promise.resolve([{ address: "127.0.0.1", family: 4 }]);

interface Setup {
  readonly allow?: readonly string[];
  readonly resolve?: Resolve;
}

async function start(input: unknown, setup: Setup = {}): Promise<[FunctionTransport, string]> {
  const { allow = ["127.0.0.0/8"], resolve = LOOPBACK } = setup;
  const transport = new FunctionTransport({}, { host });
  await transport.open(recorder, () => {});
  transport.register(httpAgent({ allow }, { host, resolve }) as Agent);
  const given = assignment("http", input);
  transport.start(given);
  return [transport, given.key];
}

async function run(input: unknown, setup?: Setup): Promise<Outcome> {
  const [, key] = await start(input, setup);
  return recorder.finished(key);
}

describe("an answer", () => {
  test("comes back as status, headers and parsed JSON", async () => {
    const port = await serve((_, response) => {
      response.setHeader("set-cookie", "secret=1");
      response.setHeader("content-type", "application/json; charset=utf-8");
      response.end('{"a":1}');
    });
    const value = outputOf(await run({ url: `http://service.test:${port}/path?q=1` }));
    expect(value).toMatchObject({ status: 200, body: { a: 1 } });
    expect(JSON.stringify(value)).not.toContain("secret");
    expect(seen[0]).toMatchObject({ path: "/path?q=1", method: "GET", body: "" });
    expect(seen[0]?.headers.host).toBe(`service.test:${port}`);
  });

  test.each([
    ["text", "text/plain", Buffer.from("höh"), "höh"],
    ["JSON that is none", "application/json", Buffer.from("{"), "{"],
    ["a problem document", "application/problem+json", Buffer.from("[1]"), [1]],
    ["bytes", "image/png", Buffer.from([0x89, 0xff]), { base64: "if8=" }],
    ["nothing", "text/plain", Buffer.alloc(0), ""],
  ])("of %s", async (_what, type, body, expected) => {
    const port = await serve((_, response) => {
      response.setHeader("content-type", type);
      response.end(body);
    });
    expect(outputOf(await run({ url: `http://a.test:${port}` }))).toMatchObject({ body: expected });
  });

  test.each([400, 404, 500])("%i is a result", async (status) => {
    const port = await serve((_, response) => {
      response.writeHead(status).end();
    });
    expect(outputOf(await run({ url: `http://a.test:${port}` }))).toMatchObject({ status });
  });

  test("503 is a failure that waits as long as the server asks", async () => {
    const port = await serve((_, response) => {
      response.writeHead(503, { "retry-after": "7" }).end();
    });
    expect(await run({ url: `http://a.test:${port}` })).toEqual({
      kind: "failure",
      failure: "throttled",
      message: "the server answered 503",
      retryAfterMs: 7_000,
    });
  });

  test("429 without a time is tried again like any failure", async () => {
    const port = await serve((_, response) => {
      response.writeHead(429, { "retry-after": "Wed, 21 Oct 2026 07:28:00 GMT" }).end();
    });
    expect(await run({ url: `http://a.test:${port}` })).toMatchObject({ failure: "retryable" });
  });

  test("larger than 10 MiB is cut off", async () => {
    const chunk = Buffer.alloc(1024 * 1024);
    const port = await serve((_, response) => {
      for (let n = 0; n < 11; n++) response.write(chunk);
      response.end();
    });
    expect(await run({ url: `http://a.test:${port}` })).toMatchObject({
      failure: "terminal",
      message: "the answer is larger than 10485760 bytes",
    });
  });

  test("that nobody asked to compress is not decompressed", async () => {
    const port = await serve((_, response) => {
      response.writeHead(200, { "content-encoding": "gzip" });
      response.end(gzipSync(Buffer.alloc(1024 * 1024)));
    });
    const value = outputOf(await run({ url: `http://a.test:${port}` }));
    expect(value).toMatchObject({ body: { base64: expect.any(String) } });
    expect(seen[0]?.headers["accept-encoding"]).toBeUndefined();
  });

  test("that breaks off is a failure", async () => {
    const port = await serve((_, response) => {
      response.writeHead(200, { "content-length": "100" });
      response.write("half", () => response.destroy());
    });
    expect(await run({ url: `http://a.test:${port}` })).toMatchObject({ failure: "retryable" });
  });
});

describe("a request", () => {
  test("carries method, headers and a JSON body", async () => {
    const port = await serve((_, response) => response.end());
    const headers = { Authorization: "Bearer x" };
    const url = `http://a.test:${port}`;
    await run({ url, method: "POST", headers, body: { a: [1] } });
    expect(seen[0]).toMatchObject({ method: "POST", body: '{"a":[1]}' });
    expect(seen[0]?.headers).toMatchObject({
      authorization: "Bearer x",
      "content-type": "application/json",
    });
  });

  test("sends a text as it is", async () => {
    const port = await serve((_, response) => response.end());
    const headers = { "content-type": "text/csv" };
    await run({ url: `http://a.test:${port}`, method: "PUT", headers, body: "a;b" });
    expect(seen[0]).toMatchObject({ method: "PUT", body: "a;b" });
    expect(seen[0]?.headers["content-type"]).toBe("text/csv");
  });

  test.each([
    [null, "input"],
    [{}, "url"],
    [{ url: "not a url" }, "url"],
    [{ url: "http://user:word@a.test/" }, "credentials"],
    [{ url: "ftp://a.test/" }, "ftp: is not allowed"],
    [{ url: "file:///etc/passwd" }, "file: is not allowed"],
    [{ url: "http://a.test", method: "CONNECT" }, "method"],
    [{ url: "http://a.test", headers: { Host: "b.test" } }, "Host cannot be set"],
    [{ url: "http://a.test", headers: { "proxy-authorization": "x" } }, "cannot be set"],
    [{ url: "http://a.test", headers: { a: 1 } }, "a is not a text"],
    [{ url: "http://a.test", headers: ["a"] }, "headers"],
    [{ url: "http://a.test", timeoutMs: 0 }, "timeoutMs"],
  ])("%j is refused for good", async (input, part) => {
    const outcome = await run(input);
    expect(outcome).toMatchObject({ kind: "failure", failure: "terminal" });
    expect(outcome).toHaveProperty("message", expect.stringContaining(part));
    expect(seen).toEqual([]);
  });

  test("that nobody answers fails at its deadline", async () => {
    const port = await serve(() => {});
    expect(await run({ url: `http://a.test:${port}`, timeoutMs: 50 })).toMatchObject({
      failure: "retryable",
      message: "no answer within 50 ms",
    });
  });

  test("whose resolver never answers fails at its deadline", async () => {
    const resolve: Resolve = () => new Promise(() => {});
    expect(await run({ url: "http://a.test", timeoutMs: 50 }, { resolve })).toMatchObject({
      message: "no answer within 50 ms",
    });
  });

  test("ends when the attempt is to stop", async () => {
    const port = await serve(() => {});
    const [transport, key] = await start({ url: `http://a.test:${port}` });
    transport.stop(key, { reason: "CANCELLED_BY_USER", graceMs: 60_000 });
    expect(await recorder.finished(key)).toEqual({ kind: "stopped" });
  });

  test("to a port where nobody listens is tried again", async () => {
    const port = await serve(() => {});
    const [server] = servers.splice(0);
    await new Promise((resolve) => server?.close(resolve));
    expect(await run({ url: `http://a.test:${port}` })).toMatchObject({ failure: "retryable" });
  });
});

describe("the guard", () => {
  test.each([
    ["http://127.0.0.1/"],
    ["http://0x7f.1/"],
    ["http://2130706433/"],
    ["http://[::1]/"],
    ["http://[::ffff:7f00:1]/"],
    ["http://localhost/"],
    ["http://169.254.169.254/latest/meta-data/"],
  ])("refuses %s with the real resolver", async (url) => {
    const transport = new FunctionTransport({}, { host });
    await transport.open(recorder, () => {});
    transport.register(httpAgent({ allow: [] }, { host }) as Agent);
    const given = assignment("http", { url });
    transport.start(given);
    const outcome = await recorder.finished(given.key);
    expect(outcome).toMatchObject({ kind: "failure", failure: "terminal" });
    expect(outcome).toHaveProperty("message", expect.stringContaining("must not be reached"));
  });

  test("checks every address of a name, not only the first", async () => {
    const resolve: Resolve = () =>
      Promise.resolve([
        { address: "93.184.215.14", family: 4 },
        { address: "10.0.0.1", family: 4 },
      ]);
    expect(await run({ url: "http://a.test" }, { allow: [], resolve })).toMatchObject({
      failure: "terminal",
      message: "a.test must not be reached: 10.0.0.1 is private (10.0.0.0/8)",
    });
  });

  test("connects to what was checked, and resolves once", async () => {
    const port = await serve((_, response) => response.end("checked"));
    let asked = 0;
    const resolve: Resolve = () => {
      asked++;
      const address = asked === 1 ? "127.0.0.1" : "127.0.0.2";
      return Promise.resolve([{ address, family: 4 }]);
    };
    const value = outputOf(
      await run({ url: `http://rebinding.test:${port}` }, { allow: ["127.0.0.1"], resolve }),
    );
    expect(value).toMatchObject({ body: "checked" });
    expect(asked).toBe(1);
  });

  test("says so when a name has no address", async () => {
    const resolve: Resolve = () => Promise.resolve([]);
    expect(await run({ url: "http://a.test" }, { resolve })).toMatchObject({
      message: "a.test has no address",
    });
  });
});

describe("a redirect", () => {
  const to = (location: (port: number) => string, status = 302) => {
    let port = 0;
    return serve(({ url }, response) => {
      if (url === "/start") response.writeHead(status, { location: location(port) }).end();
      else response.end("arrived");
    }).then((at) => {
      port = at;
      return at;
    });
  };

  test("within the origin keeps every header", async () => {
    const port = await to(() => "/end");
    const headers = { authorization: "Bearer x", "x-key": "k" };
    const value = outputOf(await run({ url: `http://a.test:${port}/start`, headers }));
    expect(value).toMatchObject({ body: "arrived" });
    expect(seen[1]?.headers).toMatchObject(headers);
  });

  test("to another origin takes no credential along", async () => {
    const port = await to((at) => `http://b.test:${at}/end`);
    const headers = { authorization: "Bearer x", cookie: "c", "x-key": "k", accept: "text/plain" };
    await run({ url: `http://a.test:${port}/start`, headers });
    expect(seen[1]?.headers).toMatchObject({ accept: "text/plain", host: `b.test:${port}` });
    for (const name of ["authorization", "cookie", "x-key"]) {
      expect(seen[1]?.headers).not.toHaveProperty(name);
    }
  });

  test("is checked like the first address", async () => {
    const port = await to((at) => `http://inside.test:${at}/end`);
    const resolve: Resolve = (name) =>
      Promise.resolve([{ address: name === "a.test" ? "127.0.0.1" : "127.0.0.2", family: 4 }]);
    const outcome = await run(
      { url: `http://a.test:${port}/start` },
      { allow: ["127.0.0.1"], resolve },
    );
    expect(outcome).toMatchObject({
      failure: "terminal",
      message: "inside.test must not be reached: 127.0.0.2 is loopback (127.0.0.0/8)",
    });
    expect(seen).toHaveLength(1);
  });

  test("to another scheme is refused", async () => {
    const port = await to(() => "file:///etc/passwd");
    expect(await run({ url: `http://a.test:${port}/start` })).toMatchObject({
      message: "file: is not allowed: use http: or https:",
    });
  });

  test("to a URL with credentials is refused", async () => {
    const port = await to((at) => `http://user:word@a.test:${at}/end`);
    expect(await run({ url: `http://a.test:${port}/start` })).toMatchObject({
      failure: "terminal",
    });
  });

  test.each([
    [301, "POST", "GET", ""],
    [302, "POST", "GET", ""],
    [303, "PUT", "GET", ""],
    [302, "PUT", "PUT", "text"],
    [307, "POST", "POST", "text"],
    [308, "POST", "POST", "text"],
    [303, "HEAD", "HEAD", ""],
  ])("%i of a %s becomes a %s", async (status, method, becomes, body) => {
    const port = await to(() => "/end", status);
    const sent = method === "HEAD" ? {} : { body: "text" };
    await run({ url: `http://a.test:${port}/start`, method, ...sent });
    expect(seen[1]).toMatchObject({ method: becomes, body });
  });

  test("is followed three times, not four", async () => {
    const port = await serve(({ url = "/0" }, response) => {
      const hop = Number(url.slice(1));
      if (hop === 0) response.end("arrived");
      else response.writeHead(302, { location: `/${hop - 1}` }).end();
    });
    expect(outputOf(await run({ url: `http://a.test:${port}/3` }))).toMatchObject({
      body: "arrived",
    });
    expect(await run({ url: `http://a.test:${port}/4` })).toMatchObject({
      failure: "terminal",
      message: "more than 3 redirects",
    });
  });
});
