/**
 * The event bus on NATS, the only file that knows it. With a stream configured every event is stored by JetStream and
 * acknowledged before it counts as published; without one it is handed to the server, which passes it to whoever
 * listens at that moment. There is no reconnecting in the background and nothing is buffered: a lost connection fails
 * what is in flight at once, and the next `open` makes a new one, at the pace of the caller's backoff.
 */
import {
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamClient,
  type JetStreamManager,
  jetstreamManager,
  type StreamConfig,
} from "@nats-io/jetstream";
import {
  connect,
  headers,
  type NatsConnection,
  type NodeConnectionOptions,
} from "@nats-io/transport-node";
import type { Millis } from "../base/time.ts";
import type { BusMessage, EventBus } from "../ports/bus.ts";
import type { Logger } from "../ports/telemetry.ts";

export interface NatsBusOptions {
  /** `nats://host:port` or `host:port`, tried in random order. */
  readonly servers: readonly string[];
  /** JetStream stream that stores the events; absent means core NATS. */
  readonly stream?: string | undefined;
  /** Creates the stream, for all subjects of the daemon, when it does not exist. */
  readonly createStream?: boolean | undefined;
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  readonly token?: string | undefined;
  /** Requires TLS; paths of PEM files. */
  readonly tls?:
    | { readonly ca?: string; readonly cert?: string; readonly key?: string }
    | undefined;
}

/** What there is to publish through while connected. */
interface Channel {
  /** Resolves when the server has all messages. */
  readonly publish: (messages: readonly BusMessage[]) => Promise<void>;
  /** Longest message taken, headers included. */
  readonly maxBytes: number;
}

/** Everything the daemon publishes. */
const SUBJECTS = "goclaw.v1.>";

const CONNECT_TIMEOUT_MS: Millis = 5_000;
const ANSWER_TIMEOUT_MS: Millis = 5_000;

/** A connection that answers no two pings in a row is dead. */
const PING_INTERVAL_MS: Millis = 10_000;

/** Room for the headers of a message in the size that a server or stream allows. */
const HEADER_BYTES = 1_024;

/** Publishes to a NATS server. */
export class NatsBus implements EventBus {
  readonly kind = "nats";
  readonly #options: NatsBusOptions;
  readonly #log: Logger;
  readonly #closed = Promise.withResolvers<never>();
  #isClosed = false;
  #opening: Promise<void> | undefined;
  #connection: NatsConnection | undefined;
  #channel: Channel = NOT_OPEN;

  constructor(options: NatsBusOptions, deps: { readonly log: Logger }) {
    this.#options = options;
    this.#log = deps.log;
    this.#closed.promise.catch(() => {});
  }

  get bodyMaxBytes(): number {
    return this.#channel.maxBytes - HEADER_BYTES;
  }

  async open(): Promise<void> {
    if (this.#isClosed) throw new Error("the bus is closed");
    if (this.#connection !== undefined && !this.#connection.isClosed()) return;
    this.#opening ??= this.#connect().finally(() => {
      this.#opening = undefined;
    });
    await Promise.race([this.#opening, this.#closed.promise]);
  }

  /** A failed publish drops the connection: what the server did not answer is not waited for any more. */
  async publish(messages: readonly BusMessage[]): Promise<void> {
    try {
      await this.#channel.publish(messages);
    } catch (error) {
      await this.#drop();
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#closed.reject(new Error("the bus is closed"));
    await this.#drop();
  }

  async #drop(): Promise<void> {
    const connection = this.#connection;
    this.#connection = undefined;
    this.#channel = NOT_OPEN;
    await connection?.close();
  }

  async #connect(): Promise<void> {
    const connection = await connect(connectionOptions(this.#options));
    try {
      const { stream } = this.#options;
      const channel =
        stream === undefined ? toServer(connection) : await this.#toStream(connection, stream);
      if (this.#isClosed) throw new Error("the bus is closed");
      this.#connection = connection;
      this.#channel = channel;
      this.#log.info({ server: connection.getServer(), stream }, "connected to NATS");
    } catch (error) {
      await connection.close();
      throw error;
    }
  }

  async #toStream(connection: NatsConnection, stream: string): Promise<Channel> {
    const manager = await jetstreamManager(connection, { timeout: ANSWER_TIMEOUT_MS });
    const { max_msg_size: streamMaxBytes } = await this.#streamConfig(manager, stream);
    const client = manager.jetstream();
    const serverMaxBytes = maxPayload(connection);
    return {
      publish: (messages) => publishAcknowledged(client, stream, messages),
      maxBytes: streamMaxBytes > 0 ? Math.min(streamMaxBytes, serverMaxBytes) : serverMaxBytes,
    };
  }

  async #streamConfig(manager: JetStreamManager, stream: string): Promise<StreamConfig> {
    const { streams } = manager;
    try {
      return (await streams.info(stream)).config;
    } catch (error) {
      if (!isStreamNotFound(error)) throw error;
      if (this.#options.createStream !== true) {
        const remedy = "create it, or let the daemon do so with createStream";
        throw new Error(`NATS has no stream "${stream}": ${remedy}`, { cause: error });
      }
      this.#log.info({ stream, subjects: SUBJECTS }, "creating the NATS stream");
      return (await streams.add({ name: stream, subjects: [SUBJECTS] })).config;
    }
  }
}

/** Before `open`, and after a failure: everything is refused at once. */
const NOT_OPEN: Channel = {
  publish: () => Promise.reject(new Error("the bus is not open")),
  maxBytes: Number.POSITIVE_INFINITY,
};

function isStreamNotFound(error: unknown): boolean {
  return error instanceof JetStreamApiError && error.code === JetStreamApiCodes.StreamNotFound;
}

function maxPayload(connection: NatsConnection): number {
  return connection.info?.max_payload ?? Number.POSITIVE_INFINITY;
}

function connectionOptions(options: NatsBusOptions): NodeConnectionOptions {
  const { servers, user, password, token, tls } = options;
  return {
    servers: [...servers],
    name: "goclaw",
    reconnect: false,
    timeout: CONNECT_TIMEOUT_MS,
    pingInterval: PING_INTERVAL_MS,
    maxPingOut: 2,
    noAsyncTraces: true,
    ...(user === undefined ? {} : { user }),
    ...(password === undefined ? {} : { pass: password }),
    ...(token === undefined ? {} : { token }),
    ...(tls === undefined ? {} : { tls: tlsFiles(tls) }),
  };
}

function tlsFiles(
  tls: NonNullable<NatsBusOptions["tls"]>,
): NonNullable<NodeConnectionOptions["tls"]> {
  return {
    ...(tls.ca === undefined ? {} : { caFile: tls.ca }),
    ...(tls.cert === undefined ? {} : { certFile: tls.cert }),
    ...(tls.key === undefined ? {} : { keyFile: tls.key }),
  };
}

/**
 * Core NATS: one connection keeps order, and the answer to the flush says that the server has read it all. The client
 * never settles a flush whose connection is lost, so that is awaited as well.
 */
function toServer(connection: NatsConnection): Channel {
  const lost = connection.closed().then((error) => {
    throw new Error("the connection to NATS is lost", { cause: error });
  });
  lost.catch(() => {});
  const publish: Channel["publish"] = async (messages) => {
    for (const { subject, id, body } of messages) {
      const idHeader = headers();
      idHeader.set("Nats-Msg-Id", id);
      connection.publish(subject, body, { headers: idHeader });
    }
    await Promise.race([connection.flush(), lost]);
  };
  return { publish, maxBytes: maxPayload(connection) };
}

/**
 * JetStream: runs go out side by side, the messages of one run one after the other. Were two of one run in flight, the
 * first could be refused and the second stored; sent again, the first would then come after the second, which the
 * stream drops as a repetition.
 */
async function publishAcknowledged(
  client: JetStreamClient,
  stream: string,
  messages: readonly BusMessage[],
): Promise<void> {
  let failed = false;
  const publishInOrder = async (ofOneRun: readonly BusMessage[]): Promise<void> => {
    for (const { subject, id, body } of ofOneRun) {
      if (failed) return;
      await client.publish(subject, body, {
        msgID: id,
        timeout: ANSWER_TIMEOUT_MS,
        expect: { streamName: stream },
      });
    }
  };
  const runs = Map.groupBy(messages, ({ id }) => id.slice(0, id.indexOf("/")));
  const results = await Promise.allSettled(
    [...runs.values()].map((ofOneRun) =>
      publishInOrder(ofOneRun).catch((error: unknown) => {
        failed = true;
        throw error;
      }),
    ),
  );
  for (const result of results) if (result.status === "rejected") throw result.reason;
}
