/** The far end of a NATS bus: hears what the server passes on, and reads what a stream stored. */
import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import type { BusMessage } from "../../src/ports/bus.ts";

interface Heard {
  readonly subject: string;
  readonly headers?: { get(name: string): string } | undefined;
  string(): string;
}

const asBusMessage = (heard: Heard): BusMessage => ({
  subject: heard.subject,
  id: heard.headers?.get("Nats-Msg-Id") ?? "",
  body: heard.string(),
});

export class NatsListener {
  readonly #connection: NatsConnection;

  private constructor(connection: NatsConnection) {
    this.#connection = connection;
  }

  static async connect(url: string): Promise<NatsListener> {
    return new NatsListener(await connect({ servers: url, reconnect: false }));
  }

  /** Calls `heard` for every message under the pattern from now on. */
  async subscribe(pattern: string, heard: (message: BusMessage) => void): Promise<void> {
    this.#connection.subscribe(pattern, { callback: (_, message) => heard(asBusMessage(message)) });
    await this.#connection.flush();
  }

  manager(): Promise<JetStreamManager> {
    return jetstreamManager(this.#connection);
  }

  /** Everything a stream holds under a pattern, oldest first, then what it stores from now on, until closed. */
  async *stored(stream: string, pattern = "goclaw.v1.>"): AsyncGenerator<BusMessage> {
    const manager = await this.manager();
    await untilExists(manager, stream);
    const client = manager.jetstream();
    const consumer = await client.consumers.get(stream, { filter_subjects: pattern });
    for await (const message of await consumer.consume()) yield asBusMessage(message);
  }

  async close(): Promise<void> {
    await this.#connection.close();
  }
}

/** Whoever creates the stream may still be on the way to the server. */
async function untilExists(manager: JetStreamManager, stream: string): Promise<void> {
  for (;;) {
    for await (const name of manager.streams.names()) if (name === stream) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
