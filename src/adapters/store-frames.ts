/**
 * Batches and entries as one buffer each, so that they cross to the storage thread as a transfer instead of a copy of
 * thousands of small objects, and so that a store has taken a batch's bytes when `write` returns. The layout is private
 * to one process: a count, then operation, key and value, lengths in front, all numbers 32 bits.
 */
import type { Entry, Write } from "../ports/store.ts";

const PUT = 1;
const DELETE = 0;

/** Copies a batch into a buffer of its own. */
export function encodeWrites(batch: readonly Write[]): ArrayBuffer {
  let size = 4;
  for (const { key, value } of batch) size += 12 + key.length + (value?.length ?? 0);
  const frame = new FrameWriter(size);
  frame.number(batch.length);
  for (const { key, value } of batch) {
    frame.number(value === undefined ? DELETE : PUT);
    frame.bytes(key);
    if (value !== undefined) frame.bytes(value);
  }
  return frame.buffer;
}

/** Calls `visit` for each write of a frame, in order; the bytes are views into it. */
export function visitWrites(
  buffer: ArrayBuffer,
  visit: (key: Uint8Array, value: Uint8Array | undefined) => void,
): void {
  const frame = new FrameReader(buffer);
  for (let left = frame.number(); left > 0; left--) {
    const operation = frame.number();
    const key = frame.bytes();
    visit(key, operation === PUT ? frame.bytes() : undefined);
  }
}

/** Copies what a read found into one buffer; `undefined` values are kept as such. */
export function encodeValues(values: readonly (Uint8Array | undefined)[]): ArrayBuffer {
  let size = 4;
  for (const value of values) size += 8 + (value?.length ?? 0);
  const frame = new FrameWriter(size);
  frame.number(values.length);
  for (const value of values) {
    frame.number(value === undefined ? DELETE : PUT);
    if (value !== undefined) frame.bytes(value);
  }
  return frame.buffer;
}

/** The reverse of {@link encodeValues}; the bytes are views into the buffer. */
export function decodeValues(buffer: ArrayBuffer): (Uint8Array | undefined)[] {
  const frame = new FrameReader(buffer);
  const values: (Uint8Array | undefined)[] = [];
  for (let left = frame.number(); left > 0; left--) {
    values.push(frame.number() === PUT ? frame.bytes() : undefined);
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

class FrameWriter {
  readonly buffer: ArrayBuffer;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(size: number) {
    this.buffer = new ArrayBuffer(size);
    this.#bytes = new Uint8Array(this.buffer);
    this.#view = new DataView(this.buffer);
  }

  number(value: number): void {
    this.#view.setUint32(this.#at, value, true);
    this.#at += 4;
  }

  bytes(data: Uint8Array): void {
    this.number(data.length);
    this.#bytes.set(data, this.#at);
    this.#at += data.length;
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
