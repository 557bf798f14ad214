/**
 * What an attempt writes for whoever watches, until the stream takes it. It never makes the attempt wait: beyond its
 * window the oldest pieces are dropped, and the offsets of the rest tell that something is missing.
 */
import { create } from "@bufbuild/protobuf";
import { type Output, OutputSchema } from "../../gen/goclaw/v1/worker_service_pb.ts";
import { Deque } from "../base/deque.ts";

/** Most bytes that wait; the engine keeps no more of a task either. */
const WINDOW_BYTES = 256 * 1024;
/** Pieces that together have no more than this become one, because every piece names its lease. */
const JOINED_BYTES = 1024;

export class OutputTape {
  readonly #leaseId: string;
  readonly #waiting = new Deque<Output>();
  /** The one that was written last, while it waits. */
  #last: Output | undefined;
  #offset = 0;
  #bytes = 0;

  constructor(leaseId: string) {
    this.#leaseId = leaseId;
  }

  /** Bytes that wait. */
  get bytes(): number {
    return this.#bytes;
  }

  get isEmpty(): boolean {
    return this.#waiting.size === 0;
  }

  /** Adds a piece, which is copied: its author goes on writing into the buffer. */
  write(piece: Uint8Array): void {
    const skipped = Math.max(0, piece.byteLength - WINDOW_BYTES);
    const data = piece.subarray(skipped);
    const last = this.#last;
    if (last !== undefined && last.data.byteLength + data.byteLength <= JOINED_BYTES) {
      last.data = joined(last.data, data);
    } else this.#push(data, this.#offset + skipped);
    this.#offset += piece.byteLength;
    this.#bytes += data.byteLength;
    while (this.#bytes > WINDOW_BYTES) this.#shift();
  }

  /** Takes everything that waits. */
  take(): Output[] {
    const taken: Output[] = [];
    for (let next = this.#shift(); next !== undefined; next = this.#shift()) taken.push(next);
    return taken;
  }

  #push(data: Uint8Array, offset: number): void {
    const leaseId = this.#leaseId;
    const piece = create(OutputSchema, {
      leaseId,
      offset: BigInt(offset),
      data: new Uint8Array(data),
    });
    this.#waiting.push(piece);
    this.#last = piece;
  }

  #shift(): Output | undefined {
    const piece = this.#waiting.shift();
    this.#bytes -= piece?.data.byteLength ?? 0;
    if (this.#waiting.size === 0) this.#last = undefined;
    return piece;
  }
}

function joined(head: Uint8Array, tail: Uint8Array): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(head.byteLength + tail.byteLength);
  whole.set(head);
  whole.set(tail, head.byteLength);
  return whole;
}
