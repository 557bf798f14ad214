import { createServer, type Server } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { NatsBus, type NatsBusOptions } from "../../src/adapters/nats-bus.ts";
import type { BusMessage } from "../../src/ports/bus.ts";
import { MemoryLogger } from "../support/memory-logger.ts";
import { NatsListener } from "../support/nats-listener.ts";
import { NatsServer, type NatsServerOptions } from "../support/nats-server.ts";
import { describeBus, Inbox } from "./bus-suite.ts";

const STREAM = "EVENTS";
const log = new MemoryLogger();
const message = (sequence: number, body = "{}"): BusMessage => ({
  subject: "goclaw.v1.default.run.R.task_progress",
  id: `R/${sequence}`,
  body,
});

describe("with a nats-server", () => {
  let server: NatsServer;
  const listeners: NatsListener[] = [];
  const listener = async (): Promise<NatsListener> => {
    const made = await NatsListener.connect(server.url);
    listeners.push(made);
    return made;
  };

  beforeAll(async () => {
    server = await NatsServer.start();
  });

  afterEach(async () => {
    await Promise.all(listeners.splice(0).map((made) => made.close()));
  });

  afterAll(() => server.remove());

  describeBus("NatsBus to the server", async () => ({
    bus: new NatsBus({ servers: [server.url] }, { log }),
    listen: async (pattern) => {
      const inbox = new Inbox();
      await (await listener()).subscribe(pattern, (heard) => inbox.add(heard));
      return inbox;
    },
    end: async () => {},
  }));

  describeBus("NatsBus to a stream", async () => ({
    bus: new NatsBus({ servers: [server.url], stream: STREAM, createStream: true }, { log }),
    listen: async (pattern) => {
      const inbox = new Inbox();
      const stored = (await listener()).stored(STREAM, pattern);
      void (async () => {
        for await (const message of stored) inbox.add(message);
      })();
      return inbox;
    },
    end: async () => {
      const { streams } = await (await listener()).manager();
      await streams.delete(STREAM).catch(() => false);
    },
  }));
});

describe("NatsBus", () => {
  const opened: (() => Promise<unknown>)[] = [];
  const start = async (options: NatsServerOptions = {}) => {
    const server = await NatsServer.start(options);
    opened.push(() => server.remove());
    return server;
  };
  const busTo = (url: string, options: Partial<NatsBusOptions> = {}): NatsBus => {
    const bus = new NatsBus({ servers: [url], ...options }, { log });
    opened.push(() => bus.close());
    return bus;
  };

  afterEach(async () => {
    for (const close of opened.splice(0).reverse()) await close();
  });

  it.each([
    ["the server", {}],
    ["a stream", { stream: STREAM, createStream: true }],
  ])(
    "fails at once when the server dies, and works again when it is back: %s",
    async (_, options) => {
      const server = await start();
      const bus = busTo(server.url, options);
      await bus.open();
      await bus.publish([message(1)]);
      server.freeze();
      const inFlight = bus.publish(Array.from({ length: 2_000 }, (_, at) => message(at + 2)));
      const failed = expect(inFlight).rejects.toThrow();
      await server.kill();
      await failed;
      await expect(bus.publish([message(2)])).rejects.toThrow("not open");
      await expect(bus.open()).rejects.toThrow("connection refused");
      await server.start();
      await bus.open();
      await bus.publish([message(2)]);
    },
  );

  it("stores every message once, sent twice", async () => {
    const server = await start();
    const bus = busTo(server.url, { stream: STREAM, createStream: true });
    await bus.open();
    await bus.publish([message(1), message(2)]);
    await bus.publish([message(1), message(2), message(3)]);
    const listener = await NatsListener.connect(server.url);
    opened.push(() => listener.close());
    const { state } = await (await listener.manager()).streams.info(STREAM);
    expect(state.messages).toBe(3);
  });

  it("never stores a message of a run after its successor, when one in the middle is refused", async () => {
    const server = await start();
    const listener = await NatsListener.connect(server.url);
    opened.push(() => listener.close());
    const { streams } = await listener.manager();
    await streams.add({ name: STREAM, subjects: ["goclaw.v1.>"], max_msg_size: 2_000 });
    const bus = busTo(server.url, { stream: STREAM });
    await bus.open();
    const rest = Array.from({ length: 50 }, (_, at) => message(at + 3));
    await expect(
      bus.publish([message(1), message(2, "x".repeat(3_000)), ...rest]),
    ).rejects.toThrow();
    expect((await streams.info(STREAM)).state.messages).toBe(1);
    await bus.open();
    await bus.publish([message(1), message(2), ...rest]);
    const ids: string[] = [];
    for await (const { id } of listener.stored(STREAM)) {
      ids.push(id);
      if (ids.length === 52) break;
    }
    expect(ids).toEqual(Array.from({ length: 52 }, (_, at) => `R/${at + 1}`));
  });

  it("knows the longest body of the server and of the stream", async () => {
    const server = await start();
    const bus = busTo(server.url);
    expect(bus.bodyMaxBytes).toBe(Number.POSITIVE_INFINITY);
    await bus.open();
    expect(bus.bodyMaxBytes).toBe(1024 * 1024 - 1_024);
    const listener = await NatsListener.connect(server.url);
    opened.push(() => listener.close());
    const { streams } = await listener.manager();
    await streams.add({ name: STREAM, subjects: ["goclaw.v1.>"], max_msg_size: 5_000 });
    const toStream = busTo(server.url, { stream: STREAM });
    await toStream.open();
    expect(toStream.bodyMaxBytes).toBe(5_000 - 1_024);
  });

  it("says what is missing: the stream, JetStream, the server", async () => {
    const server = await start();
    await expect(busTo(server.url, { stream: "NONE" }).open()).rejects.toThrow(
      'NATS has no stream "NONE": create it, or let the daemon do so with createStream',
    );
    const plain = await start({ jetstream: false });
    await expect(busTo(plain.url, { stream: STREAM, createStream: true }).open()).rejects.toThrow(
      /jetstream is not enabled/i,
    );
    await server.kill();
    await expect(busTo(server.url).open()).rejects.toThrow("connection refused");
  });

  it("signs in with a password or a token, and is refused without", async () => {
    const withUser = await start({ args: ["--user", "claw", "--pass", "s3cret"] });
    await busTo(withUser.url, { user: "claw", password: "s3cret" }).open();
    await expect(busTo(withUser.url).open()).rejects.toThrow(/authorization/i);
    await expect(busTo(withUser.url, { user: "claw", password: "wrong" }).open()).rejects.toThrow(
      /authorization/i,
    );
    const withToken = await start({ args: ["--auth", "t0ken"] });
    await busTo(withToken.url, { token: "t0ken" }).open();
    await expect(busTo(withToken.url, { token: "other" }).open()).rejects.toThrow(/authorization/i);
  });

  it("gives up opening at once when it is closed", async () => {
    const silent = await new Promise<Server>((resolve) => {
      const made = createServer().listen(0, "127.0.0.1", () => resolve(made));
    });
    opened.push(async () => silent.close());
    const address = silent.address();
    const port = typeof address === "object" ? address?.port : undefined;
    const connected = new Promise((resolve) => silent.once("connection", resolve));
    const bus = busTo(`nats://127.0.0.1:${port}`);
    const opening = expect(bus.open()).rejects.toThrow("closed");
    await connected;
    await bus.close();
    await opening;
  });
});
