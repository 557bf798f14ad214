/**
 * One session of a worker: its messages are read in the order of their fields and handed to the door's session, what the
 * engine says leaves in batches. A part of a message that makes no sense is answered (a drop, a verdict) or ignored and
 * counted, and never ends the stream; only a broken Hello does, before the Welcome.
 */
import { create } from "@bufbuild/protobuf";
import type { EngineMessage, WorkerMessage } from "../../gen/goclaw/v1/worker_service_pb.ts";
import { EngineMessageSchema, HelloSchema } from "../../gen/goclaw/v1/worker_service_pb.ts";
import { FaultError, fault, refuse } from "../base/fault.ts";
import type { Host } from "../ports/host.ts";
import type { Logger } from "../ports/telemetry.ts";
import type { WorkerDoor, WorkerSession } from "../ports/worker.ts";
import { Gate, turn } from "./gate.ts";
import { validateMessage } from "./validation.ts";
import {
  readChoice,
  readDeeds,
  readFailure,
  readHello,
  readNews,
  readOutput,
  readReceipt,
  readRemember,
  writeWelcome,
} from "./wire-worker.ts";
import { WorkerOutbox } from "./worker-outbox.ts";

export interface WorkerStreamDeps {
  readonly door: WorkerDoor;
  readonly host: Pick<Host, "now" | "defer">;
  readonly log: Logger;
  /** Largest message in either direction. */
  readonly maxBytes: number;
}

const NO_HELLO = fault("ARGUMENT_INVALID", {
  field: "hello",
  value: "absent",
  expected: "a Hello in the first message",
});

/** Serves one stream until either side ends it, or until `signal` says that the daemon leaves. */
export async function* serveWorker(
  messages: AsyncIterable<WorkerMessage>,
  signal: AbortSignal,
  deps: WorkerStreamDeps,
): AsyncIterable<EngineMessage> {
  const reader = messages[Symbol.asyncIterator]();
  const first = await reader.next();
  const hello = first.done === true ? undefined : first.value.hello;
  if (hello === undefined) return refuse(NO_HELLO);
  validateMessage(HelloSchema, hello);
  const choice = readChoice(hello);
  const news = new Gate();
  const wake = (): void => news.open();
  const { door, host, maxBytes } = deps;
  const outbox = new WorkerOutbox({ host, choice, maxBytes, onNews: wake });
  const session = door.open(readHello(hello, "session"), outbox);
  const inbox = new WorkerInbox(session, deps.log);
  signal.addEventListener("abort", wake);
  try {
    yield create(EngineMessageSchema, { welcome: writeWelcome(session.welcome, choice, maxBytes) });
    inbox.hear(first.value);
    void inbox.read(reader, wake);
    for (;;) {
      while (outbox.isEmpty && inbox.isReading && !outbox.isClosed && !signal.aborted) {
        await news.wait();
      }
      // The rest of the same commit or message is only a moment away.
      await turn(host);
      while (!outbox.isEmpty) yield outbox.take();
      if (signal.aborted) throw signal.reason;
      if (!inbox.isReading || outbox.isClosed) return;
    }
  } finally {
    signal.removeEventListener("abort", wake);
    session.closed();
  }
}

/** What the worker says. */
class WorkerInbox {
  readonly #session: WorkerSession;
  readonly #log: Logger;
  isReading = true;

  constructor(session: WorkerSession, log: Logger) {
    this.#session = session;
    this.#log = log;
  }

  async read(reader: AsyncIterator<WorkerMessage>, wake: () => void): Promise<void> {
    try {
      for (let next = await reader.next(); next.done !== true; next = await reader.next()) {
        this.hear(next.value);
      }
    } catch (error) {
      this.#log.debug({ error: String(error) }, "a worker's stream broke");
    } finally {
      this.isReading = false;
      wake();
    }
  }

  /** Everything in one message, in the order of its fields. */
  hear(message: WorkerMessage): void {
    const session = this.#session;
    if (message.$unknown !== undefined) this.#log.debug({}, "unknown fields in a worker's message");
    if (message.capacity !== undefined) session.capacity(message.capacity.slots);
    for (const lease of message.acks) session.ack(lease);
    if (message.beat !== undefined) session.beat(Number(message.beat.nonce), message.beat.leases);
    hearWork(session, message, this.#log);
    if (message.drain !== undefined) session.drain(message.drain.leaving);
  }
}

/** The lists that sessions and reports have in common. */
export type WorkNews = Pick<
  WorkerMessage,
  "progress" | "outputs" | "signalAcks" | "completes" | "fails"
>;

/** What leases have to say. One that makes no sense is skipped, or refused where an end was meant. */
export function hearWork(session: WorkerSession, news: WorkNews, log: Logger): void {
  for (const progress of news.progress) {
    skipping(log, () => session.progress(progress.leaseId, readNews(progress)));
  }
  for (const { leaseId, offset, data } of news.outputs)
    session.output(leaseId, Number(offset), data);
  for (const { leaseId, signalId, receipt } of news.signalAcks) {
    const read = readReceipt(receipt);
    if (read !== undefined) session.receipt(leaseId, signalId, read);
  }
  for (const { leaseId, output, outputData, receipts, memories } of news.completes) {
    rejecting(session, leaseId, () =>
      session.complete(
        leaseId,
        readOutput(output, outputData),
        readDeeds(receipts),
        memories.map(readRemember),
      ),
    );
  }
  for (const fail of news.fails) {
    rejecting(session, fail.leaseId, () =>
      session.fail(fail.leaseId, readFailure(fail), readDeeds(fail.receipts)),
    );
  }
}

function skipping(log: Logger, hear: () => void): void {
  try {
    hear();
  } catch (error) {
    if (!(error instanceof FaultError)) throw error;
    log.warn({ fault: error.fault.code }, error.message);
  }
}

/** An end whose content is wrong is an end all the same: the worker will not do better by saying it again. */
function rejecting(session: WorkerSession, lease: string, end: () => void): void {
  try {
    end();
  } catch (error) {
    if (!(error instanceof FaultError)) throw error;
    session.reject(lease, error.message);
  }
}
