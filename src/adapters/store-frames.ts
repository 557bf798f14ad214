/**
 * Batches and entries as one buffer each, so that they cross to the storage thread as a transfer instead of a copy of
 * thousands of small objects, and so that a store has taken a batch's bytes when `write` returns. Read entries are a
 * count, then a flag and a value each, lengths in front, all numbers 32 bits; private to one process, as frames are.
 */
import { addWrite, type FrameSink, WriteFrame } from "../base/write-frame.ts";
import type { Entry, Write } from "../ports/store.ts";

const PRESENT = 1;
const ABSENT = 0;

/** A batch as a frame of its own. */
export function frameOf(batch: readonly Write[] | WriteFrame): WriteFrame {
  if (batch instanceof WriteFrame) return batch;
  let size = 0;
  for (const { key, value } of batch) size += 9 + key.length + (value?.length ?? 0);
  const sink = new FrameWriter(size);
  for (const { key, value } of batch) addWrite(sink, key, value);
  return new WriteFrame(sink.buffer.slice(0, sink.length));
}

/** Copies what a read found into one buffer; `undefined` values are kept as such. */
export function encodeValues(values: readonly (Uint8Array | undefined)[]): ArrayBuffer {
  let size = 4;
  for (const value of values) size += 8 + (value?.length ?? 0);
  const frame = new FrameWriter(size);
  frame.fixed32(values.length);
  for (const value of values) {
    frame.fixed32(value === undefined ? ABSENT : PRESENT);
    if (value !== undefined) frame.bytes(value);
  }
  return frame.buffer;
}

/** The reverse of {@link encodeValues}; the bytes are views into the buffer. */
export function decodeValues(buffer: ArrayBuffer): (Uint8Array | undefined)[] {
  const frame = new FrameReader(buffer);
  const values: (Uint8Array | undefined)[] = [];
  for (let left = frame.number(); left > 0; left--) {
    values.push(frame.number() === PRESENT ? frame.bytes() : undefined);
  }
  return values;
}

/** Pairs of key and value, flat, as entries. */
export function toEntries(flat: readonly (Uint8Array | undefined)[]): Entry[] {
  const entries: Entry[] = [];
  for (let at = 0; at + 1 < flat.length; at += 2) {
    entries.push({ key: flat[at] as Uint8Array, value: flat[at + 1] as Uint8Array });
  }
  return entries;
}

/** Writes into a buffer whose size is known. */
class FrameWriter implements FrameSink {
  readonly buffer: ArrayBuffer;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  length = 0;

  constructor(size: number) {
    this.buffer = new ArrayBuffer(size);
    this.#bytes = new Uint8Array(this.buffer);
    this.#view = new DataView(this.buffer);
  }

  byte(value: number): void {
    this.#bytes[this.length++] = value;
  }

  fixed32(value: number): void {
    this.#view.setUint32(this.length, value, true);
    this.length += 4;
  }

  patch32(at: number, value: number): void {
    this.#view.setUint32(at, value, true);
  }

  raw(data: Uint8Array): void {
    this.#bytes.set(data, this.length);
    this.length += data.length;
  }

  bytes(data: Uint8Array): void {
    this.fixed32(data.length);
    this.raw(data);
  }
}

class FrameReader {
  readonly #buffer: ArrayBuffer;
  readonly #view: DataView;
  #at = 0;

  constructor(buffer: ArrayBuffer) {
    this.#buffer = buffer;
    this.#view = new DataView(buffer);
  }

  number(): number {
    const value = this.#view.getUint32(this.#at, true);
    this.#at += 4;
    return value;
  }

  bytes(): Uint8Array {
    const size = this.number();
    const data = new Uint8Array(this.#buffer, this.#at, size);
    this.#at += size;
    return data;
  }
}
