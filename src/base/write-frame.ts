/**
 * The writes of one batch as one run of bytes: operation, key, value, lengths in front. A journal encodes its records
 * right into it, and a store hands it to its thread as it is, so that a write costs neither an object nor a copy of its
 * own. The layout is private to one process and never reaches a disk.
 */

const PUT = 1;
const DELETE = 0;

/** One change: put the value, or delete the key when there is none. */
interface FramedWrite {
  readonly key: Uint8Array;
  readonly value: Uint8Array | undefined;
}

/** What a frame is written into: a growing buffer of little-endian numbers and raw bytes. */
export interface FrameSink {
  readonly length: number;
  byte(value: number): void;
  fixed32(value: number): void;
  patch32(at: number, value: number): void;
  raw(data: Uint8Array): void;
}

/** A finished batch. Its buffer belongs to whoever writes it; the bytes of its writes are views into it. */
export class WriteFrame implements Iterable<FramedWrite> {
  readonly buffer: ArrayBuffer;

  constructor(buffer: ArrayBuffer) {
    this.buffer = buffer;
  }

  *[Symbol.iterator](): Generator<FramedWrite> {
    const { buffer } = this;
    const view = new DataView(buffer);
    for (let at = 0; at < buffer.byteLength; ) {
      const operation = view.getUint8(at);
      const keySize = view.getUint32(at + 1, true);
      const key = new Uint8Array(buffer, at + 5, keySize);
      at += 5 + keySize;
      if (operation === DELETE) {
        yield { key, value: undefined };
        continue;
      }
      const valueSize = view.getUint32(at, true);
      yield { key, value: new Uint8Array(buffer, at + 4, valueSize) };
      at += 4 + valueSize;
    }
  }
}

/** Begins a put: write the key next, then call {@link beginValue}. Returns what that needs. */
export function beginPut(sink: FrameSink): number {
  sink.byte(PUT);
  sink.fixed32(0);
  return sink.length;
}

/** Ends the key that begins at `keyStart`; write the value next, then call {@link endValue} with the result. */
export function beginValue(sink: FrameSink, keyStart: number): number {
  sink.patch32(keyStart - 4, sink.length - keyStart);
  sink.fixed32(0);
  return sink.length;
}

/** Ends the value that begins at `valueStart`. */
export function endValue(sink: FrameSink, valueStart: number): void {
  sink.patch32(valueStart - 4, sink.length - valueStart);
}

/** Adds one write whose bytes lie elsewhere. */
export function addWrite(sink: FrameSink, key: Uint8Array, value: Uint8Array | undefined): void {
  sink.byte(value === undefined ? DELETE : PUT);
  sink.fixed32(key.length);
  sink.raw(key);
  if (value === undefined) return;
  sink.fixed32(value.length);
  sink.raw(value);
}
