/**
 * The sending half of a reference worker's stream: what it says in one turn becomes as few messages as the limit of their
 * size permits, in order.
 */
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type WorkerMessage, WorkerMessageSchema } from "../../gen/goclaw/v1/worker_service_pb.ts";

/** Something to say: a message with one thing in it. */
export type Part = Omit<
  Extract<MessageInitShape<typeof WorkerMessageSchema>, { $typeName?: never }>,
  "$typeName" | "$unknown"
>;

const LISTS = ["acks", "signalAcks", "completes", "fails"] as const;

export class WorkerOutbox implements AsyncIterable<WorkerMessage> {
  maxBytes = Number.POSITIVE_INFINITY;
  readonly #isBoundless: boolean;
  readonly #parts: WorkerMessage[] = [];
  #isClosed = false;
  #wake = (): void => {};

  constructor(isBoundless: boolean) {
    this.#isBoundless = isBoundless;
  }

  say(part: Part): void {
    this.#parts.push(create(WorkerMessageSchema, part));
    this.#wake();
  }

  close(): void {
    this.#isClosed = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<WorkerMessage> {
    for (;;) {
      while (this.#parts.length > 0) {
        // Whatever else is said in this turn goes along.
        await new Promise((resolve) => setImmediate(resolve));
        yield this.#batch();
      }
      if (this.#isClosed) return;
      await new Promise<void>((wake) => {
        this.#wake = wake;
      });
    }
  }

  #batch(): WorkerMessage {
    const batch = this.#parts.shift() ?? create(WorkerMessageSchema);
    let bytes = sizeOf(batch);
    for (let next = this.#parts[0]; next !== undefined; next = this.#parts[0]) {
      const isList = next.beat === undefined && next.drain === undefined;
      bytes += sizeOf(next);
      if (!isList || (bytes > this.maxBytes && !this.#isBoundless)) break;
      for (const list of LISTS) (batch[list] as unknown[]).push(...next[list]);
      this.#parts.shift();
    }
    return batch;
  }
}

function sizeOf(message: WorkerMessage): number {
  return toBinary(WorkerMessageSchema, message).length;
}
