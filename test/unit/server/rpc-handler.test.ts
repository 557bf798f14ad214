/**
 * Requests that stop halfway, on real sockets with time that stands still until the test moves it.
 */
import { once } from "node:events";
import * as http2 from "node:http2";
import { connect } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { Health } from "../../../gen/grpc/health/v1/health_pb.ts";
import { healthService } from "../../../src/server/health-service.ts";
import { Listener } from "../../../src/server/listener.ts";
import { createRpcLookup } from "../../../src/server/rpc-handler.ts";
import { MemoryLogger } from "../../support/memory-logger.ts";
import { VirtualHost } from "../../support/virtual-host.ts";

const PATH = "/grpc.health.v1.Health/Check";
const REQUEST_MS = 30_000;

async function listen() {
  const host = new VirtualHost();
  const log = new MemoryLogger();
  let handled = 0;
  const lookUp = createRpcLookup(
    {
      routes: (router) => {
        router.service(Health, healthService({ services: [], isServing: () => true, host }));
      },
      interceptors: [
        (next) => (request) => {
          handled++;
          return next(request);
        },
      ],
      requestGate: () => {},
      shutdownSignal: new AbortController().signal,
      messageBytes: 1024,
      json: { depth: 64 },
      requestMs: REQUEST_MS,
    },
    { host, log },
  );
  let arrived = 0;
  const listener = new Listener(
    {
      headerBytes: 16_384,
      streamsPerConnection: 10,
      connections: 10,
      headersMs: 10_000,
      requestMs: 3_600_000,
      idleMs: 3_600_000,
      pingMs: 1_000,
    },
    (request, response) => {
      lookUp(request.url ?? "")?.(request, response);
      arrived++;
    },
    { host, log },
  );
  const { port } = await listener.listen({ host: "127.0.0.1", port: 0 });
  onTestFinished(async () => {
    const closed = listener.close(0);
    await host.advance(0);
    await closed;
  });
  return { host, log, port, arrived: () => arrived, handled: () => handled };
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

it("a call whose HTTP/2 request stops halfway does not hold its stream for ever", async () => {
  const { host, port, arrived, handled } = await listen();
  const session = http2.connect(`http://127.0.0.1:${port}`);
  onTestFinished(() => session.destroy());
  const stream = session.request({
    ":method": "POST",
    ":path": PATH,
    "content-type": "application/grpc",
  });
  stream.on("error", () => {});
  stream.write(Buffer.from([0, 0, 0, 0, 9, 1]));
  await until(() => arrived() === 1);
  const closed = once(stream, "close");
  await host.advance(REQUEST_MS - 1);
  expect(stream.closed).toBe(false);
  await host.advance(1);
  await closed;
  expect(handled()).toBe(0);
  // The connection is fine; only the call was cut.
  const next = session.request({
    ":method": "POST",
    ":path": PATH,
    "content-type": "application/json",
  });
  next.end("{}");
  let text = "";
  for await (const chunk of next) text += chunk;
  expect(JSON.parse(text)).toEqual({ status: "SERVING" });
});

it("nor does one over HTTP/1.1 hold its connection", async () => {
  const { host, port, arrived, handled } = await listen();
  const socket = connect(port, "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  socket.on("error", () => {});
  socket.write(
    `POST ${PATH} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{`,
  );
  await until(() => arrived() === 1);
  const closed = once(socket, "close");
  await host.advance(REQUEST_MS);
  await closed;
  expect(handled()).toBe(0);
});

it("a call that arrived in time is not bounded by it, and leaves no timer", async () => {
  const { host, port } = await listen();
  const response = await fetch(`http://127.0.0.1:${port}${PATH}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: "{}",
  });
  expect(await response.json()).toEqual({ status: "SERVING" });
  expect(host.timers).toBe(0);
});

it("what is no request is answered as such", async () => {
  const { port } = await listen();
  const socket = connect(port, "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  // HTTP/1.0 needs no host, but a call needs an authority.
  socket.end(`POST ${PATH} HTTP/1.0\r\ncontent-length: 0\r\n\r\n`);
  let text = "";
  for await (const chunk of socket) text += chunk;
  expect(text).toMatch(/^HTTP\/1\.1 400 /);
});
