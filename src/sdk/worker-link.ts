/**
 * The worker's line to the engine: dials, says Hello, listens, and dials again when a stream ends or falls silent, until
 * it is told to stop. It decides when to connect, when to give up on a stream, and when a drained worker may leave; what
 * messages mean for the work is the business of the leases. Pauses are drawn evenly from 0 up to a bound that doubles
 * ("full jitter": M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
 */
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  DrainSchema,
  type EngineMessage,
  type Hello,
  HelloSchema,
  type Welcome,
  type WorkerMessage,
  WorkerMessageSchema,
} from "../../gen/goclaw/v1/worker_service_pb.ts";
import type { Millis } from "../base/time.ts";
import type { Host, TimerHandle } from "../ports/host.ts";
import type { Logger } from "../ports/telemetry.ts";
import { SLOT_CLASS, type WorkerLeases } from "./worker-leases.ts";
import type { Outbox } from "./worker-outbox.ts";

/** Opens a stream: sends what it is given until that ends, and yields what comes back. Aborting cuts it. */
export type Dial = (
  outgoing: AsyncIterable<WorkerMessage>,
  abort: AbortSignal,
) => AsyncIterable<EngineMessage>;

export interface LinkDeps {
  readonly dial: Dial;
  readonly host: Host;
  readonly leases: WorkerLeases;
  readonly outbox: Outbox;
  readonly log: Logger;
  /** Everything of the Hello that stays the same. */
  readonly hello: Pick<Hello, "capabilities" | "name" | "instanceId" | "labels" | "agents">;
}

const PROTOCOL_VERSION = 1;
const PAUSE_FIRST_MS: Millis = 100;
const PAUSE_LONGEST_MS: Millis = 5_000;
/** Until a Welcome says otherwise. */
const SILENCE_LIMIT_MS: Millis = 15_000;
const MESSAGE_MAX_BYTES = 4 * 1024 * 1024;
/** Messages that lie unread because an agent held the thread are read within this. */
const SECOND_LOOK_MS: Millis = 250;
/** How long a finished stream may take to end before it is cut. */
const FAREWELL_MS: Millis = 1_000;

/** Answers to a Hello that would be the same next time. */
const FINAL: ReadonlySet<Code> = new Set([
  Code.InvalidArgument,
  Code.FailedPrecondition,
  Code.Unimplemented,
  Code.PermissionDenied,
  Code.Unauthenticated,
]);

/** One stream. */
interface Stream {
  readonly cut: AbortController;
  isWelcome: boolean;
  /** Nothing more is sent. */
  isFinished: boolean;
  isOver: boolean;
  heardAt: Millis;
  silenceLimitMs: Millis;
  /** The engine's wish. */
  pauseMs: Millis;
  watch: TimerHandle | undefined;
  farewell: TimerHandle | undefined;
}

export class WorkerLink {
  readonly #deps: LinkDeps;
  readonly #connected = Promise.withResolvers<void>();
  #stream: Stream | undefined;
  #resumeToken: string | undefined;
  #streams = 0;
  /** `draining`: no more work, waits for what runs. `leaving`: waits for nothing. */
  #phase: "working" | "draining" | "leaving" = "working";
  #endPause = (): void => {};

  constructor(deps: LinkDeps) {
    this.#deps = deps;
    // Nobody may be waiting for it.
    this.#connected.promise.catch(() => {});
  }

  /** Resolves with the first Welcome, or when told to stop before; rejects when the engine will not have this worker. */
  get connected(): Promise<void> {
    return this.#connected.promise;
  }

  /** Streams that were welcomed. */
  get streams(): number {
    return this.#streams;
  }

  /** Works until `drain` is done. Rejects when the engine will not have this worker. */
  async run(): Promise<void> {
    try {
      for (let failures = 0; !this.#isDone; ) {
        const stream = await this.#session();
        failures = stream.isWelcome ? 0 : failures + 1;
        if (!this.#isDone) await this.#pause(stream.pauseMs + this.#jitter(failures));
      }
      this.#connected.resolve();
    } catch (error) {
      this.#connected.reject(error);
      throw error;
    }
  }

  /** Asks for no more work; `run` resolves when all that runs has its verdict. */
  drain(): void {
    if (this.#phase !== "working") return;
    this.#phase = "draining";
    this.#sayDrain();
    this.settle();
  }

  /** Waits for nothing any more: what still runs is handed back. */
  leave(): void {
    this.#phase = "leaving";
    this.#sayDrain();
    this.settle();
  }

  /** To be called when nothing runs and no verdict is awaited. */
  settle(): void {
    if (!this.#isDone) return;
    this.#endPause();
    const stream = this.#stream;
    if (stream === undefined || stream.isFinished) return;
    stream.isFinished = true;
    if (!stream.isWelcome) stream.cut.abort();
    this.#deps.outbox.wake();
    stream.farewell = this.#deps.host.setTimer(FAREWELL_MS, () => stream.cut.abort());
  }

  get #isDone(): boolean {
    if (this.#phase === "draining") return this.#deps.leases.isIdle;
    return this.#phase === "leaving";
  }

  /** One stream from its Hello to its end. Throws when another one would end the same way. */
  async #session(): Promise<Stream> {
    const { dial, outbox, host, log } = this.#deps;
    const stream: Stream = {
      cut: new AbortController(),
      isWelcome: false,
      isFinished: false,
      isOver: false,
      heardAt: host.elapsedMs(),
      silenceLimitMs: SILENCE_LIMIT_MS,
      pauseMs: 0,
      watch: undefined,
      farewell: undefined,
    };
    this.#stream = stream;
    this.#watch(stream, stream.silenceLimitMs);
    try {
      for await (const message of dial(this.#outgoing(stream), stream.cut.signal)) {
        this.#receive(stream, message);
      }
      log.info({}, "the engine ended the session");
    } catch (error) {
      const { code, rawMessage } = ConnectError.from(error);
      if (!stream.isWelcome && FINAL.has(code)) throw error;
      const what = stream.isWelcome ? "the session was lost" : "cannot connect";
      if (!this.#isDone) log.warn({ reason: rawMessage }, what);
    } finally {
      stream.isOver = true;
      stream.watch?.cancel();
      stream.farewell?.cancel();
      this.#stream = undefined;
      outbox.close();
    }
    return stream;
  }

  async *#outgoing(stream: Stream): AsyncGenerator<WorkerMessage, void, undefined> {
    const { outbox } = this.#deps;
    yield create(WorkerMessageSchema, { hello: this.#hello() });
    while (!stream.isOver) {
      const message = outbox.take();
      if (message !== undefined) yield message;
      else if (stream.isFinished) return;
      else await outbox.filled();
    }
  }

  #hello(): Hello {
    const { leases, hello } = this.#deps;
    const token = this.#resumeToken;
    const slots = this.#phase === "working" ? leases.slots : 0;
    return create(HelloSchema, {
      ...hello,
      protocolVersion: PROTOCOL_VERSION,
      capacity: { slots: { [SLOT_CLASS]: slots } },
      ...(token === undefined ? {} : { resume: { token, leases: leases.leases() } }),
    });
  }

  #receive(stream: Stream, message: EngineMessage): void {
    const { leases, log } = this.#deps;
    stream.heardAt = this.#deps.host.elapsedMs();
    const { welcome, goAway } = message;
    if (welcome !== undefined && !stream.isWelcome) this.#welcome(stream, welcome);
    leases.receive(message);
    if (goAway === undefined) return;
    log.info({}, `the engine is going away: ${goAway.reason}`);
    stream.pauseMs = goAway.reconnectAfterMs;
  }

  #welcome(stream: Stream, welcome: Welcome): void {
    const { leases, outbox, log } = this.#deps;
    const { sessionId, epoch, silenceLimitMs, refusedAgents } = welcome;
    stream.isWelcome = true;
    this.#streams++;
    this.#resumeToken = welcome.resumeToken;
    if (silenceLimitMs > 0) {
      stream.silenceLimitMs = silenceLimitMs;
      this.#watch(stream, silenceLimitMs);
    }
    log.info({ sessionId, epoch: Number(epoch) }, "connected");
    for (const { name, reason } of refusedAgents) {
      log.warn({ agent: name }, `the engine does not take agent "${name}" from here: ${reason}`);
    }
    outbox.reset();
    leases.welcome(welcome);
    if (this.#phase !== "working") this.#sayDrain();
    outbox.open(welcome.maxMessageBytes || MESSAGE_MAX_BYTES);
    this.#connected.resolve();
  }

  #sayDrain(): void {
    const leaving = this.#phase === "leaving";
    this.#deps.outbox.add({ kind: "drain", value: create(DrainSchema, { leaving }) });
  }

  /** Cuts the stream once nothing was heard for its limit and a second look has found nothing either. */
  #watch(stream: Stream, delayMs: Millis): void {
    const { host, log } = this.#deps;
    stream.watch?.cancel();
    stream.watch = host.setTimer(delayMs, () => {
      const leftMs = stream.heardAt + stream.silenceLimitMs - host.elapsedMs();
      if (leftMs > 0) return this.#watch(stream, leftMs);
      const seen = stream.heardAt;
      stream.watch = host.setTimer(SECOND_LOOK_MS, () => {
        if (stream.heardAt !== seen) return this.#watch(stream, stream.silenceLimitMs);
        log.warn({}, `heard nothing for ${stream.silenceLimitMs} ms`);
        stream.cut.abort(new ConnectError("the engine is silent", Code.DeadlineExceeded));
      });
    });
  }

  #jitter(failures: number): Millis {
    const bound = Math.min(PAUSE_LONGEST_MS, PAUSE_FIRST_MS * 2 ** failures);
    return this.#deps.host.random() * bound;
  }

  #pause(delayMs: Millis): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#deps.host.setTimer(delayMs, resolve);
      this.#endPause = () => {
        timer.cancel();
        resolve();
      };
    });
  }
}
