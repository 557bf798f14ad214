/**
 * The worker's side of one stream to a daemon, played by hand: what the engine says goes into an inbox, what the worker says
 * is up to the case, true or not. By itself it only answers probes, with the leases that it acknowledged, and that can be
 * turned off. Every worker has a connection of its own, so that breaking one breaks nothing else.
 */
import { create, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import { ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import {
  type Assign,
  type HelloSchema,
  VerdictOutcome,
  VerdictOutcomeSchema,
  type Welcome,
  type WorkerMessage,
  WorkerMessageSchema,
  WorkerService,
} from "../../gen/goclaw/v1/worker_service_pb.ts";
import type { Millis } from "../base/time.ts";
import { describeHeard, type Heard, heardIn } from "./heard.ts";
import { Inbox } from "./inbox.ts";
import { wordOf } from "./values.ts";
import { type Clock, demand } from "./verdicts.ts";

type Plain<D extends DescMessage> = Omit<
  Extract<MessageInitShape<D>, { $typeName?: never }>,
  "$typeName" | "$unknown"
>;

export type HelloInit = Plain<typeof HelloSchema>;
export type Words = Plain<typeof WorkerMessageSchema>;

export interface WorkerSettings {
  readonly server: string;
  readonly clock: Clock;
  readonly patienceMs: Millis;
  /** Answers no probe. */
  readonly isMute?: boolean;
  /** Leases that it has from before. */
  readonly held?: readonly string[];
}

export class ScriptedWorker {
  readonly inbox: Inbox<Heard>;
  readonly instanceId: string;
  /** Leases that a beat lists. */
  readonly held: Set<string>;
  readonly #settings: WorkerSettings;
  readonly #connection: Http2SessionManager;
  readonly #outgoing: WorkerMessage[] = [];
  #isLeaving = false;
  #wake = (): void => {};
  welcome: Welcome | undefined;

  constructor(settings: WorkerSettings, hello: HelloInit | undefined) {
    this.#settings = settings;
    this.inbox = new Inbox(settings.clock, describeHeard);
    this.instanceId = hello?.instanceId ?? "";
    this.held = new Set(settings.held);
    this.#connection = new Http2SessionManager(settings.server);
    if (hello !== undefined) this.say({ hello });
    void this.#listen();
  }

  async #listen(): Promise<void> {
    const { server: baseUrl } = this.#settings;
    const transport = createGrpcTransport({ baseUrl, sessionManager: this.#connection });
    let code: ConnectError["code"] | undefined;
    let how = "";
    try {
      const client = createClient(WorkerService, transport);
      for await (const message of client.openSession(this.#speak())) {
        for (const heard of heardIn(message)) this.#hear(heard);
      }
    } catch (error) {
      ({ code, rawMessage: how } = ConnectError.from(error));
    }
    this.inbox.push({ kind: "closed", code, how });
    this.#connection.abort();
  }

  #hear(heard: Heard): void {
    if (heard.kind === "welcome") this.welcome = heard.welcome;
    if (heard.kind === "drop" || heard.kind === "verdict") this.held.delete(heard.leaseId);
    if (heard.kind === "probe" && this.#settings.isMute !== true) this.beat(heard.nonce);
    this.inbox.push(heard);
  }

  async *#speak(): AsyncGenerator<WorkerMessage> {
    for (;;) {
      for (let next = this.#outgoing.shift(); next !== undefined; next = this.#outgoing.shift()) {
        yield next;
      }
      if (this.#isLeaving) return;
      await new Promise<void>((wake) => {
        this.#wake = wake;
      });
    }
  }

  say(words: Words): void {
    this.sayMessage(create(WorkerMessageSchema, words));
  }

  sayMessage(message: WorkerMessage): void {
    this.#outgoing.push(message);
    this.#wake();
  }

  beat(nonce = 0n): void {
    this.say({ beat: { nonce, leases: [...this.held] } });
  }

  /** Acknowledges an assignment; from then on beats list it. */
  ack(assign: Assign): void {
    this.held.add(leaseOf(assign));
    this.say({ acks: [leaseOf(assign)] });
  }

  complete(leaseId: string, text: string): void {
    this.say({ completes: [completeWith(leaseId, text)] });
  }

  /** Ends this side of the stream. */
  leave(): void {
    this.#isLeaving = true;
    this.#wake();
  }

  /** Breaks the connection, as the death of the process would. */
  die(): void {
    this.#connection.abort();
    this.leave();
  }

  take<R>(
    pick: (heard: Heard) => R | undefined,
    expected: string,
    withinMs: Millis = this.#settings.patienceMs,
  ): Promise<R> {
    return this.inbox.take(pick, expected, withinMs);
  }

  async welcomed(): Promise<Welcome> {
    return this.take(
      (heard) => (heard.kind === "welcome" ? heard.welcome : undefined),
      "a Welcome",
    );
  }

  /** Waits for an assignment. */
  async assigned(expected = "an Assign", withinMs?: Millis): Promise<Assign> {
    return this.take(
      (heard) => (heard.kind === "assign" ? heard.assign : undefined),
      expected,
      withinMs,
    );
  }

  /** Waits for an assignment and acknowledges it. */
  async taken(expected?: string, withinMs?: Millis): Promise<Assign> {
    const assign = await this.assigned(expected, withinMs);
    this.ack(assign);
    return assign;
  }

  /** Throws when there is an assignment. */
  noAssign(why: string): void {
    const assign = this.inbox.takeNow((heard) => (heard.kind === "assign" ? heard : undefined));
    demand(assign === undefined, `no assignment ${why}`, assign ? describeHeard(assign) : "");
  }

  /** Waits for the verdict about a lease, which must be one of these. */
  async judged(leaseId: string, ...outcomes: readonly VerdictOutcome[]): Promise<VerdictOutcome> {
    const words = outcomes.map((outcome) => wordOf(VerdictOutcomeSchema, outcome)).join(" or ");
    const outcome = await this.take(
      (heard) =>
        heard.kind === "verdict" && heard.leaseId === leaseId ? heard.outcome : undefined,
      `verdict ${words} for ${leaseId}`,
    );
    const isRight = outcomes.includes(outcome as VerdictOutcome);
    demand(isRight, `verdict ${words} for ${leaseId}`, wordOf(VerdictOutcomeSchema, outcome));
    return outcome as VerdictOutcome;
  }

  /** Completes a lease and waits for its verdict. */
  async finish(assign: Assign, text = "done"): Promise<void> {
    const leaseId = leaseOf(assign);
    this.complete(leaseId, text);
    await this.judged(leaseId, VerdictOutcome.COMMITTED);
  }

  /** Waits for the end of the stream. */
  async closed(expected: string): Promise<Extract<Heard, { kind: "closed" }>> {
    return this.take((heard) => (heard.kind === "closed" ? heard : undefined), expected);
  }
}

export function leaseOf({ lease }: Assign): string {
  return lease?.leaseId ?? "";
}

/** A Complete whose output is a text. */
export function completeWith(
  leaseId: string,
  text: string,
): NonNullable<Words["completes"]>[number] {
  const data = new TextEncoder().encode(JSON.stringify(text));
  return { leaseId, outputData: { mediaType: "application/json", data } };
}
