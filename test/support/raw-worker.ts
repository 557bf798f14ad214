/**
 * A worker made of nothing but generated stubs: it says what a test tells it to say and remembers what it hears. It has
 * no rules of its own, so that a test can break any rule of the protocol.
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import {
  type Assign,
  type EngineMessage,
  HelloSchema,
  type Welcome,
  WorkerMessageSchema,
  type WorkerService,
} from "../../gen/goclaw/v1/worker_service_pb.ts";

type Said = MessageInitShape<typeof WorkerMessageSchema>;
type Greeting = Extract<MessageInitShape<typeof HelloSchema>, { $typeName?: never }>;

/** A hello with everything that is needed. */
export function hello(instanceId: string, rest: Greeting = {}): Greeting {
  return {
    protocolVersion: 1,
    instanceId,
    name: "raw",
    agents: [{ name: "remote" }],
    capacity: { slots: { default: 8 } },
    ...rest,
  };
}

/** A queue of what is to be sent, as the stream wants it. */
class Mouth implements AsyncIterable<Said> {
  readonly #said: Said[] = [];
  #wake: (() => void) | undefined;
  #isShut = false;

  say(message: Said): void {
    this.#said.push(message);
    this.#wake?.();
  }

  shut(): void {
    this.#isShut = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Said> {
    for (;;) {
      const next = this.#said.shift();
      if (next !== undefined) yield create(WorkerMessageSchema, next);
      else if (this.#isShut) return;
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }
}

interface Waiter {
  readonly wanted: (message: EngineMessage) => boolean;
  readonly resolve: (message: EngineMessage) => void;
  readonly reject: (error: unknown) => void;
}

export class RawWorker {
  readonly heard: EngineMessage[] = [];
  /** Answers probes with these leases; undefined to be deaf. */
  beats: (() => string[]) | undefined = () => [...this.held];
  /** Leases that were assigned and not ended, dropped or judged. */
  readonly held = new Set<string>();
  readonly ended: Promise<unknown>;
  readonly #mouth = new Mouth();
  readonly #abort = new AbortController();
  #waiters: Waiter[] = [];
  #isOver = false;

  constructor(client: Client<typeof WorkerService>, greeting: Greeting) {
    this.say({ hello: create(HelloSchema, greeting) });
    this.ended = this.#listen(client).then(
      () => undefined,
      (error: unknown) => error,
    );
  }

  say(message: Said): void {
    this.#mouth.say(message);
  }

  async welcome(): Promise<Welcome> {
    const { welcome } = await this.until(({ welcome }) => welcome !== undefined);
    return welcome as Welcome;
  }

  /** The next assignment that was not seen by this method before. */
  async assignment(): Promise<Assign> {
    const seen = this.#seen;
    const message = await this.until(({ assigns }) => assigns.some((one) => !seen.has(one)));
    const assign = message.assigns.find((one) => !seen.has(one)) as Assign;
    seen.add(assign);
    return assign;
  }

  readonly #seen = new Set<Assign>();

  /** The first message heard, before or from now on, that is wanted. */
  until(wanted: (message: EngineMessage) => boolean): Promise<EngineMessage> {
    const found = this.heard.find(wanted);
    if (found !== undefined) return Promise.resolve(found);
    if (this.#isOver) return Promise.reject(new Error("the stream has ended"));
    return new Promise((resolve, reject) => this.#waiters.push({ wanted, resolve, reject }));
  }

  /** The verdict on a lease. */
  async verdict(leaseId: string): Promise<number> {
    const is = (one: { leaseId: string }) => one.leaseId === leaseId;
    const { verdicts } = await this.until(({ verdicts }) => verdicts.some(is));
    return verdicts.find(is)?.outcome ?? 0;
  }

  /** Ends the stream in good order. */
  close(): void {
    this.#mouth.shut();
  }

  /** Breaks the stream. */
  cut(): void {
    this.#abort.abort();
  }

  async #listen(client: Client<typeof WorkerService>): Promise<void> {
    try {
      const messages = client.openSession(this.#mouth, { signal: this.#abort.signal });
      for await (const message of messages) this.#hear(message);
    } finally {
      this.#isOver = true;
      for (const { reject } of this.#waiters) reject(new Error("the stream has ended"));
    }
  }

  #hear(message: EngineMessage): void {
    this.heard.push(message);
    for (const { lease } of message.assigns) this.held.add(lease?.leaseId ?? "");
    for (const lease of message.drops) this.held.delete(lease);
    for (const { leaseId } of message.verdicts) this.held.delete(leaseId);
    const { probe } = message;
    if (probe !== undefined && this.beats !== undefined) {
      this.say({ beat: { nonce: probe.nonce, leases: this.beats() } });
    }
    const due = this.#waiters.filter(({ wanted }) => wanted(message));
    this.#waiters = this.#waiters.filter((waiter) => !due.includes(waiter));
    for (const { resolve } of due) resolve(message);
  }
}
