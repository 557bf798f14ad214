/**
 * What a worker has to say, in order, until its stream takes it. Everything that is there when the stream asks leaves in
 * one message, up to a size far below the protocol's limit, so batches grow by themselves when much happens and a single
 * word leaves at once. Nothing leaves before `open`. It stays bounded while there is no stream: progress of a lease is
 * folded into what still waits, output has a window, and everything else is bounded by the worker's capacity.
 */
import { create } from "@bufbuild/protobuf";
import {
  type Beat,
  BeatSchema,
  type Capacity,
  type Complete,
  type Drain,
  type Fail,
  type Progress,
  ProgressSchema,
  type SignalAck,
  type WorkerMessage,
  WorkerMessageSchema,
} from "../../gen/goclaw/v1/worker_service_pb.ts";
import { unreachable } from "../base/assert.ts";
import { Deque } from "../base/deque.ts";
import type { Host } from "../ports/host.ts";
import type { OutputTape } from "./worker-output.ts";

/** A message is closed once it has this much, because small ones let the other side begin sooner. */
const MESSAGE_BYTES = 512 * 1024;
/** What an entry takes besides its text and data, generously. */
const ENTRY_BYTES = 32;

type Entry =
  | { readonly kind: "capacity"; readonly value: Capacity }
  | { readonly kind: "acks"; readonly value: string }
  | { readonly kind: "beat"; readonly value: Beat; readonly bytes: number }
  | { readonly kind: "progress"; readonly value: Progress }
  | { readonly kind: "outputs"; readonly value: OutputTape }
  | { readonly kind: "signalAcks"; readonly value: SignalAck }
  | { readonly kind: "completes"; readonly value: Complete; readonly bytes: number }
  | { readonly kind: "fails"; readonly value: Fail; readonly bytes: number }
  | { readonly kind: "drain"; readonly value: Drain };

/** Kinds that hold on any stream. The others answer one stream, or are said anew on the next. */
const OUTLIVES_STREAM: ReadonlySet<Entry["kind"]> = new Set(["capacity", "progress", "signalAcks"]);

export class Outbox {
  readonly #host: Pick<Host, "defer">;
  #queue = new Deque<Entry>();
  /** Progress that has not left yet, by lease. */
  readonly #progress = new Map<string, Progress>();
  #isOpen = false;
  #messageBytes = MESSAGE_BYTES;
  #waiting: (() => void) | undefined;
  #isWaking = false;

  constructor(host: Pick<Host, "defer">) {
    this.#host = host;
  }

  /**
   * Lets messages leave: the engine has said Welcome. Half of its limit for a message is never exceeded by a second
   * entry, and a single one is at most a payload.
   */
  open(maxMessageBytes: number): void {
    this.#messageBytes = Math.min(MESSAGE_BYTES, maxMessageBytes / 2);
    this.#isOpen = true;
    this.wake();
  }

  /** Keeps messages back: the stream is gone. */
  close(): void {
    this.#isOpen = false;
    this.wake();
  }

  /** Forgets what only an earlier stream had to be told. */
  reset(): void {
    const old = this.#queue;
    this.#queue = new Deque();
    for (let entry = old.shift(); entry !== undefined; entry = old.shift()) {
      if (OUTLIVES_STREAM.has(entry.kind)) this.#queue.push(entry);
    }
  }

  add(entry: Entry): void {
    this.#queue.push(entry);
    this.#wakeSoon();
  }

  /** Answers a probe with all leases, in as many messages as they need: several Beats renew as well as one. */
  beat(nonce: bigint, leases: readonly string[]): void {
    let part: string[] = [];
    let bytes = 0;
    const flush = (): void => {
      this.add({ kind: "beat", value: create(BeatSchema, { nonce, leases: part }), bytes });
      part = [];
      bytes = 0;
    };
    for (const lease of leases) {
      if (bytes + lease.length + ENTRY_BYTES > this.#messageBytes) flush();
      part.push(lease);
      bytes += lease.length + ENTRY_BYTES;
    }
    flush();
  }

  /** Adds to the progress of a lease: of several that wait the last says where it is. */
  progress(
    leaseId: string,
    said: Partial<Pick<Progress, "percent" | "note" | "checkpoint">>,
  ): void {
    const waiting = this.#progress.get(leaseId);
    if (waiting !== undefined) {
      Object.assign(waiting, said);
      return;
    }
    const value = Object.assign(create(ProgressSchema, { leaseId }), said);
    this.#progress.set(leaseId, value);
    this.add({ kind: "progress", value });
  }

  /** Whether there is nothing that could leave. */
  get isEmpty(): boolean {
    return !this.#isOpen || this.#queue.size === 0;
  }

  /** The next message, or undefined when there is nothing to say. */
  take(): WorkerMessage | undefined {
    if (this.isEmpty) return undefined;
    const message = create(WorkerMessageSchema);
    let bytes = 0;
    for (let entry = this.#queue.peek(); entry !== undefined; entry = this.#queue.peek()) {
      const size = sizeOf(entry);
      if (bytes > 0 && bytes + size > this.#messageBytes) break;
      // One Beat fits into a message.
      if (entry.kind === "beat" && message.beat !== undefined) break;
      this.#queue.shift();
      bytes += size;
      if (entry.kind === "progress") this.#progress.delete(entry.value.leaseId);
      put(message, entry);
    }
    return message;
  }

  /** Resolves when there may be something to take, or when somebody calls `wake`. */
  filled(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }

  /** Makes whoever waits look again. */
  wake(): void {
    this.#waiting?.();
    this.#waiting = undefined;
  }

  /** Once per turn, so that everything of a turn leaves together. */
  #wakeSoon(): void {
    if (this.#isWaking || !this.#isOpen) return;
    this.#isWaking = true;
    this.#host.defer(() => {
      this.#isWaking = false;
      this.wake();
    });
  }
}

function put(message: WorkerMessage, entry: Entry): void {
  switch (entry.kind) {
    case "capacity":
      message.capacity = entry.value;
      return;
    case "beat":
      message.beat = entry.value;
      return;
    case "drain":
      message.drain = entry.value;
      return;
    case "acks":
      message.acks.push(entry.value);
      return;
    case "progress":
      message.progress.push(entry.value);
      return;
    case "outputs":
      message.outputs.push(...entry.value.take());
      return;
    case "signalAcks":
      message.signalAcks.push(entry.value);
      return;
    case "completes":
      message.completes.push(entry.value);
      return;
    case "fails":
      message.fails.push(entry.value);
      return;
    default:
      return unreachable(entry);
  }
}

/** Upper bound of an entry's size on the wire. Texts count three bytes a unit. */
function sizeOf(entry: Entry): number {
  switch (entry.kind) {
    case "capacity":
    case "drain":
      return ENTRY_BYTES;
    case "acks":
      return ENTRY_BYTES + entry.value.length;
    case "beat":
      return ENTRY_BYTES + entry.bytes;
    case "progress":
      return (
        ENTRY_BYTES +
        entry.value.leaseId.length +
        entry.value.note.length * 3 +
        (entry.value.checkpoint?.byteLength ?? 0)
      );
    case "outputs":
      // Small pieces are joined, so their lease ids stay below their bytes.
      return ENTRY_BYTES + entry.value.bytes * 2;
    case "signalAcks":
      return ENTRY_BYTES + entry.value.leaseId.length + entry.value.signalId.length;
    case "completes":
    case "fails":
      return ENTRY_BYTES + entry.value.leaseId.length + entry.bytes;
    default:
      return unreachable(entry);
  }
}
