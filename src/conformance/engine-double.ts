/**
 * A server that looks like a daemon to a worker, for both of its surfaces on one port: gRPC and Connect over h2c, and
 * HTTP/1.1 for curl. It knows no run and no task; a play decides what every stream and every call gets to hear. Nothing
 * it is sent is too large or too wrong for it, because that is for the play to judge.
 */
import { create } from "@bufbuild/protobuf";
import {
  type ConnectRouter,
  createContextKey,
  createContextValues,
  type HandlerContext,
} from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import {
  DrainWorkerResponseSchema,
  type EngineMessage,
  HelloSchema,
  type WorkerMessage,
  WorkerService,
} from "../../gen/goclaw/v1/worker_service_pb.ts";
import type { Millis } from "../base/time.ts";
import type { Logger } from "../ports/telemetry.ts";
import { Listener, type RequestHandler } from "../server/listener.ts";
import { Inbox } from "./inbox.ts";
import { PollDesk } from "./poll-desk.ts";
import { shown } from "./values.ts";
import type { Clock } from "./verdicts.ts";
import { type Cut, WorkerSession } from "./worker-session.ts";

type Request = Parameters<RequestHandler>[0];

const CUT = createContextKey<Cut>(() => {}, { description: "breaks the connection of a call" });

/** Far beyond what the protocol permits: how large a message is, is judged by the cases. */
const READ_MAX_BYTES = 256 * 1024 * 1024;

const LIMITS = {
  headerBytes: 16 * 1024,
  streamsPerConnection: 1_000,
  connections: 1_000,
  headersMs: 10_000,
  requestMs: 60_000,
  idleMs: 120_000,
  pingMs: 20_000,
} as const;

const SILENT: Logger = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => SILENT,
};

export class EngineDouble {
  /** Streams that were opened and said Hello, and have not been welcomed yet. */
  readonly dials: Inbox<WorkerSession>;
  readonly desk: PollDesk;
  readonly #clock: Clock;
  readonly #patienceMs: Millis;
  readonly #listener: Listener;
  #address = "";

  constructor(clock: Clock, patienceMs: Millis) {
    this.#clock = clock;
    this.#patienceMs = patienceMs;
    this.dials = new Inbox(clock, ({ hello }) => shown(HelloSchema, hello));
    this.desk = new PollDesk(clock);
    const serve = connectNodeAdapter({
      routes: (router) => this.#route(router),
      contextValues: (request) => createContextValues().set(CUT, cutOf(request as Request)),
      readMaxBytes: READ_MAX_BYTES,
    });
    this.#listener = new Listener(LIMITS, serve as RequestHandler, { host: clock, log: SILENT });
  }

  /** URL of the double; it listens from then on. */
  async start(): Promise<string> {
    const { host, port } = await this.#listener.listen({ host: "127.0.0.1", port: 0 });
    this.#address = `http://${host}:${port}`;
    return this.#address;
  }

  get address(): string {
    return this.#address;
  }

  stop(): Promise<void> {
    return this.#listener.close(0);
  }

  #route(router: ConnectRouter): void {
    router.service(WorkerService, {
      openSession: (messages, context) => this.#open(messages, context),
      pollTasks: (request, context) => this.desk.poll(request, context.values.get(CUT)),
      reportTask: (request, context) => this.desk.report(request, context.values.get(CUT)),
      drainWorker: (request) => {
        this.desk.drains.push(request);
        return create(DrainWorkerResponseSchema);
      },
    });
  }

  async *#open(
    messages: AsyncIterable<WorkerMessage>,
    { values }: HandlerContext,
  ): AsyncGenerator<EngineMessage> {
    const incoming = messages[Symbol.asyncIterator]();
    const first = await incoming.next();
    if (first.done === true) return;
    const hello = first.value.hello ?? create(HelloSchema);
    const session = new WorkerSession(hello, values.get(CUT), this.#clock, this.#patienceMs);
    session.hear(first.value);
    // It goes on after this side has ended, and never rejects.
    void session.listen(incoming);
    this.dials.push(session);
    yield* session.speak();
  }
}

/** HTTP/2 requests have a stream of a session; the whole connection goes, as it would in a broken network. */
function cutOf(request: Request): Cut {
  return () => {
    const { stream } = request as { stream?: { session?: { destroy(): void } } };
    if (stream === undefined) request.socket.destroy();
    else stream.session?.destroy();
  };
}
