/**
 * Protobuf wire format, read and written directly: one growing buffer, numbers as plain JavaScript numbers, no
 * intermediate objects. It exists because the general runtime spent a quarter of the engine's busy time on records.
 * Integers are limited to 2^53; everything here is valid protobuf for any other reader.
 */

export const VARINT = 0;
export const FIXED64 = 1;
export const DELIMITED = 2;
export const FIXED32 = 5;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Longest text whose UTF-8 form surely has a length prefix of one byte. */
const SHORT_TEXT_UNITS = 42;
/** Longest byte string that is decoded without the platform's decoder, which costs more than that to call. */
const SHORT_TEXT_BYTES = 24;

/** Thrown when bytes are not what they should be; callers turn it into `DATA_LOSS` naming the record. */
export class WireError extends Error {
  override readonly name = "WireError";
}

/** Appends to a buffer that grows by doubling. */
export class ByteWriter {
  bytes: Uint8Array = new Uint8Array(4_096);
  #view = new DataView(this.bytes.buffer);
  length = 0;
  /** Large payloads put aside while encoding; undefined keeps every payload inline. */
  blobs: Uint8Array[] | undefined;

  /** Forgets the contents and keeps the memory. */
  reset(): void {
    this.length = 0;
    this.blobs = undefined;
  }

  /** A copy of everything written. */
  copy(): ArrayBuffer {
    return this.bytes.slice(0, this.length).buffer as ArrayBuffer;
  }

  /** The bytes written since `from`: a view, valid until the next reset. */
  since(from: number): Uint8Array {
    return this.bytes.subarray(from, this.length);
  }

  /** Makes room for `count` more bytes. */
  reserve(count: number): void {
    const needed = this.length + count;
    if (needed <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.bytes.length * 2));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
    this.#view = new DataView(grown.buffer);
  }

  byte(value: number): void {
    this.reserve(1);
    this.bytes[this.length++] = value;
  }

  /** An unsigned integer up to 2^53, seven bits a byte, low bits first. */
  varint(value: number): void {
    this.reserve(8);
    let rest = value;
    while (rest > 0x7fffffff) {
      this.bytes[this.length++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    while (rest > 127) {
      this.bytes[this.length++] = (rest & 127) | 0x80;
      rest >>>= 7;
    }
    this.bytes[this.length++] = rest;
  }

  double(value: number): void {
    this.reserve(8);
    this.#view.setFloat64(this.length, value, true);
    this.length += 8;
  }

  fixed32(value: number): void {
    this.reserve(4);
    this.#view.setUint32(this.length, value, true);
    this.length += 4;
  }

  /** An integer up to 2^53 in eight bytes, high ones first, so that byte order is number order. */
  number64(value: number): void {
    this.reserve(8);
    this.#view.setUint32(this.length, Math.floor(value / 0x1_0000_0000));
    this.#view.setUint32(this.length + 4, value >>> 0);
    this.length += 8;
  }

  /** Overwrites four bytes that were written before. */
  patch32(at: number, value: number): void {
    this.#view.setUint32(at, value, true);
  }

  /** One byte per unit of a text that has no unit above 127, without a length. */
  ascii(value: string): void {
    this.reserve(value.length);
    for (let unit = 0; unit < value.length; unit++) {
      this.bytes[this.length++] = value.charCodeAt(unit);
    }
  }

  /** Bytes as they are, without a length. */
  raw(data: Uint8Array): void {
    this.reserve(data.length);
    this.bytes.set(data, this.length);
    this.length += data.length;
  }

  /** Length and bytes. */
  delimited(data: Uint8Array): void {
    this.varint(data.length);
    this.raw(data);
  }

  /** Length and UTF-8 of a text. */
  text(value: string): void {
    this.reserve(value.length * 3 + 5);
    if (value.length <= SHORT_TEXT_UNITS && this.#ascii(value)) return;
    const start = this.length;
    const guess = varintSize(value.length);
    const room = this.bytes.subarray(start + guess);
    const { written } = encoder.encodeInto(value, room);
    const prefix = varintSize(written);
    if (prefix !== guess)
      this.bytes.copyWithin(start + prefix, start + guess, start + guess + written);
    this.varint(written);
    this.length += written;
  }

  #ascii(value: string): boolean {
    const { bytes } = this;
    let at = this.length + 1;
    for (let unit = 0; unit < value.length; unit++) {
      const code = value.charCodeAt(unit);
      if (code > 127) return false;
      bytes[at++] = code;
    }
    bytes[this.length] = value.length;
    this.length = at;
    return true;
  }

  /** Begins a nested value of unknown length; pass the result to {@link close}. */
  open(): number {
    this.byte(0);
    return this.length;
  }

  /** Ends a nested value: its length goes in front of it, and it moves when that needs more than one byte. */
  close(start: number): void {
    const size = this.length - start;
    if (size < 128) {
      this.bytes[start - 1] = size;
      return;
    }
    const extra = varintSize(size) - 1;
    this.reserve(8);
    this.bytes.copyWithin(start + extra, start, this.length);
    this.length = start - 1;
    this.varint(size);
    this.length += size;
  }
}

/** UTF-8 of a text. */
export function toUtf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Text of UTF-8 bytes; throws {@link WireError} when they are none. */
export function fromUtf8(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw new WireError("a text is not UTF-8", { cause });
  }
}

function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest > 127; rest = Math.floor(rest / 128)) size++;
  return size;
}

/** Reads from a byte string; every read past the end throws {@link WireError}. */
export class ByteReader {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  at: number;
  end: number;
  /** What payloads that were put aside refer to. */
  readonly blobs: readonly Uint8Array[];

  constructor(bytes: Uint8Array, from = 0, blobs: readonly Uint8Array[] = []) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = from;
    this.end = bytes.length;
    this.blobs = blobs;
  }

  varint(): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 10; count++) {
      if (this.at >= this.end) throw new WireError("a number is cut off");
      const byte = this.bytes[this.at++] as number;
      value += (byte & 127) * scale;
      if (byte < 128) {
        if (value > Number.MAX_SAFE_INTEGER) throw new WireError("a number is too large");
        return value;
      }
      scale *= 128;
    }
    throw new WireError("a number has no end");
  }

  double(): number {
    return this.#view.getFloat64(this.#take(8), true);
  }

  fixed32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  /** A copy, so that the value does not keep the whole record alive. */
  delimited(): Uint8Array {
    const size = this.varint();
    const from = this.#take(size);
    return this.bytes.slice(from, from + size);
  }

  text(): string {
    const size = this.varint();
    const from = this.#take(size);
    if (size <= SHORT_TEXT_BYTES) {
      const short = this.#ascii(from, from + size);
      if (short !== undefined) return short;
    }
    return fromUtf8(this.bytes.subarray(from, from + size));
  }

  #ascii(from: number, to: number): string | undefined {
    let text = "";
    for (let at = from; at < to; at++) {
      const code = this.bytes[at] as number;
      if (code > 127) return undefined;
      text += String.fromCharCode(code);
    }
    return text;
  }

  /** Enters a nested value: narrows `end` to it and returns the outer end for {@link leave}. */
  enter(): number {
    const size = this.varint();
    const outer = this.end;
    if (size > outer - this.at) throw new WireError("a value is cut off");
    this.end = this.at + size;
    return outer;
  }

  leave(outer: number): void {
    this.end = outer;
  }

  /** Passes over a field that this version does not know. */
  skip(wireType: number): void {
    if (wireType === VARINT) this.varint();
    else if (wireType === FIXED64) this.#take(8);
    else if (wireType === DELIMITED) this.#take(this.varint());
    else if (wireType === FIXED32) this.#take(4);
    else throw new WireError(`wire type ${wireType} is unknown`);
  }

  #take(count: number): number {
    const from = this.at;
    if (count > this.end - from) throw new WireError("a value is cut off");
    this.at = from + count;
    return from;
  }
}
