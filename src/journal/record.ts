/**
 * The armour around every value on disk. A record is a CRC32C, a length and a content; the checksum covers the key as
 * well, so a value that turns up under another key is damage too. Records of a run also carry their sequence and a
 * link, 64 bits that depend on every record before: a swapped, missing or doubled one does not fit its successor. The
 * link is mixed from the previous link, checksum and sequence (MurmurHash3's finalizer), which needs no second pass
 * over the bytes; it finds accidents, not forgeries.
 */

import { crc32c } from "../base/crc32c.ts";
import { FaultError, fault, refuse } from "../base/fault.ts";
import { hashText, mix32 } from "../base/hash.ts";
import type { RunId } from "../base/ids.ts";
import { printKey } from "./keys.ts";
import { ByteReader, type ByteWriter, WireError } from "./wire.ts";

/** CRC and length. */
const ENVELOPE_BYTES = 8;
/** Events, payloads put aside, sequence and link, between the envelope and the body of a run record. */
const RUN_HEADER_BYTES = 24;

/** Stands for everything before it in a chain of records: two words of 32 bits, signed or not. */
export interface Link {
  readonly high: number;
  readonly low: number;
}

/** Before the first commit. */
export const FIRST_LINK: Link = { high: 0, low: 0 };

/** Before the first record of a run; differs between runs, so that one cannot continue another. */
export function linkOfRun(runId: RunId): Link {
  const high = hashText(runId);
  return { high, low: mix32(high ^ hashText(runId, high)) };
}

/** The link after a record, from the one before it. */
export function linkAfter(previous: Link, crc: number, sequence: number): Link {
  const low = mix32(previous.low ^ crc);
  const high = mix32(previous.high ^ low ^ Math.imul(sequence, 0x9e3779b1));
  // Signed, because the engine keeps such integers without a box and there is one link per open run.
  return { high: high | 0, low: mix32((low + high) | 0) | 0 };
}

/** Whether two links are the same. */
export function isSameLink(a: Link, b: Link): boolean {
  return ((a.high ^ b.high) | (a.low ^ b.low)) === 0;
}

/** Throws the typed `DATA_LOSS` that names a key. */
export function damaged(key: Uint8Array, detail: string): never {
  return refuse(fault("DATA_LOSS", { where: printKey(key), detail }));
}

/** Begins a record in the buffer; pass the result to {@link sealRecord} after its content. */
export function beginRecord(writer: ByteWriter): number {
  const start = writer.length;
  writer.fixed32(0);
  writer.fixed32(0);
  return start;
}

/** Fills in length and checksum, which continues that of the key, and returns the checksum. */
export function sealRecord(writer: ByteWriter, start: number, keyCrc: number): number {
  writer.patch32(start + 4, writer.length - start - ENVELOPE_BYTES);
  const crc = crc32c(writer.bytes, start + 4, writer.length, keyCrc);
  writer.patch32(start, crc);
  return crc;
}

/** A record of any kind but a run's, sealed under `key`. The bytes stay valid until the writer is reset. */
export function sealed(writer: ByteWriter, key: Uint8Array, fill: () => void): Uint8Array {
  const start = beginRecord(writer);
  fill();
  sealRecord(writer, start, crc32c(key));
  return writer.since(start);
}

/** Checks the envelope and returns a reader on the content; throws `DATA_LOSS`. */
export function openRecord(
  key: Uint8Array,
  value: Uint8Array,
  blobs: readonly Uint8Array[] = [],
): ByteReader {
  if (value.length < ENVELOPE_BYTES) damaged(key, "the record is cut off");
  const reader = new ByteReader(value, 0, blobs);
  const crc = reader.fixed32();
  if (reader.fixed32() !== value.length - ENVELOPE_BYTES) damaged(key, "the length is wrong");
  if (crc32c(value, 4, value.length, crc32c(key)) !== crc) damaged(key, "the checksum is wrong");
  return reader;
}

/** The checksum in the envelope, as it stands there. */
export function checksumOf(value: Uint8Array): number {
  return new DataView(value.buffer, value.byteOffset, ENVELOPE_BYTES).getUint32(0, true);
}

/** Opens a record and reads its content; what does not decode is damage. */
export function readRecord<T>(
  key: Uint8Array,
  value: Uint8Array,
  read: (reader: ByteReader) => T,
): T {
  const reader = openRecord(key, value);
  return decoded(key, () => read(reader));
}

/** Runs a decoder, turning {@link WireError} into `DATA_LOSS`. */
export function decoded<T>(key: Uint8Array, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    const of = fault("DATA_LOSS", { where: printKey(key), detail: error.message });
    throw new FaultError(of, { cause: error });
  }
}

/** What stands in front of the events of a run record. */
export interface RunHeader {
  readonly firstSequence: number;
  readonly count: number;
  /** Large payloads under keys of their own. */
  readonly blobs: number;
  readonly previous: Link;
  readonly crc: number;
}

/** Writes the header of a run record, right after {@link beginRecord}. */
export function putRunHeader(writer: ByteWriter, header: Omit<RunHeader, "crc" | "blobs">): void {
  writer.fixed32(header.count);
  writer.fixed32(0);
  writer.fixed32(header.firstSequence);
  writer.fixed32(Math.floor(header.firstSequence / 0x1_0000_0000));
  writer.fixed32(header.previous.low);
  writer.fixed32(header.previous.high);
}

/** Notes how many payloads were put aside, once that is known. */
export function patchBlobs(writer: ByteWriter, start: number, blobs: number): void {
  writer.patch32(start + ENVELOPE_BYTES + 4, blobs);
}

/** Reads the header of a run record whose envelope has been checked. */
export function readRunHeader(key: Uint8Array, reader: ByteReader): RunHeader {
  if (reader.end - reader.at < RUN_HEADER_BYTES) damaged(key, "the header is cut off");
  const crc = checksumOf(reader.bytes);
  const count = reader.fixed32();
  const blobs = reader.fixed32();
  const firstSequence = reader.fixed32() + reader.fixed32() * 0x1_0000_0000;
  const low = reader.fixed32();
  const high = reader.fixed32();
  return { firstSequence, count, blobs, previous: { high, low }, crc };
}
