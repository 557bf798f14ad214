/**
 * Vectors on disk as a log: what was put and removed, in order, each record with a checksum, each batch synced before it
 * is answered. Reading stops at the first record that is torn, which a crash leaves only where nothing was answered, and
 * cuts it off. Every put has a number that is never given twice; graphs name their points by it.
 */
import {
  closeSync,
  fdatasyncSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { crc32c } from "../../base/crc32c.ts";

/** One change. */
export type VectorRecord =
  | {
      readonly kind: "put";
      readonly number: number;
      readonly sessionId: string;
      readonly id: string;
      readonly vector: Float32Array;
    }
  | { readonly kind: "remove"; readonly sessionId: string; readonly id: string };

/** The kind is the first byte of a body: 1 for a put, 0 for a removal. */
const PUT = 1;
/** Bytes of the body and CRC32C of it, then the body: kind, number, lengths of session and id. */
const FRAME_BYTES = 8;
const BODY_BYTES = 13;

/** The log file, open for appending. */
export class VectorLog {
  readonly #path: string;
  #file: number;

  /** Opens or creates the file, and calls `visit` for every record in it. */
  constructor(path: string, visit: (record: VectorRecord) => void) {
    mkdirSync(dirname(path), { recursive: true });
    this.#path = path;
    this.#file = openSync(path, "a+", 0o600);
    const bytes = readFileSync(path);
    const end = readRecords(bytes, visit);
    if (end < bytes.length) ftruncateSync(this.#file, end);
  }

  /** The records are on disk when this returns. */
  append(records: readonly VectorRecord[]): void {
    writeAll(this.#file, Buffer.concat(records.map(encoded)));
    fdatasyncSync(this.#file);
  }

  /** Replaces all records; the old ones are gone from disk afterwards. */
  rewrite(records: Iterable<VectorRecord>): void {
    const next = `${this.#path}.next`;
    const file = openSync(next, "w", 0o600);
    for (const record of records) writeAll(file, encoded(record));
    fsyncSync(file);
    closeSync(file);
    renameSync(next, this.#path);
    syncDirectory(dirname(this.#path));
    closeSync(this.#file);
    this.#file = openSync(this.#path, "a+", 0o600);
  }

  close(): void {
    closeSync(this.#file);
  }
}

/** Makes a rename in a directory durable. */
export function syncDirectory(path: string): void {
  const directory = openSync(path, "r");
  fsyncSync(directory);
  closeSync(directory);
}

function writeAll(file: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
}

function encoded(record: VectorRecord): Buffer {
  const session = Buffer.from(record.sessionId, "utf8");
  const id = Buffer.from(record.id, "utf8");
  const vector = record.kind === "put" ? record.vector : new Float32Array(0);
  const head = Buffer.alloc(FRAME_BYTES + BODY_BYTES);
  head.writeUInt8(record.kind === "put" ? PUT : 0, FRAME_BYTES);
  head.writeUInt32LE(record.kind === "put" ? record.number : 0, FRAME_BYTES + 1);
  head.writeUInt32LE(session.length, FRAME_BYTES + 5);
  head.writeUInt32LE(id.length, FRAME_BYTES + 9);
  const numbers = Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength);
  const bytes = Buffer.concat([head, session, id, numbers]);
  bytes.writeUInt32LE(bytes.length - FRAME_BYTES, 0);
  bytes.writeUInt32LE(crc32c(bytes, FRAME_BYTES), 4);
  return bytes;
}

/** Returns where the last whole record ends. */
function readRecords(bytes: Buffer, visit: (record: VectorRecord) => void): number {
  let at = 0;
  while (at + FRAME_BYTES + BODY_BYTES <= bytes.length) {
    const end = at + FRAME_BYTES + bytes.readUInt32LE(at);
    if (end > bytes.length || bytes.readUInt32LE(at + 4) !== crc32c(bytes, at + FRAME_BYTES, end))
      break;
    visit(decoded(bytes.subarray(at + FRAME_BYTES, end)));
    at = end;
  }
  return at;
}

function decoded(body: Buffer): VectorRecord {
  const idAt = BODY_BYTES + body.readUInt32LE(5);
  const vectorAt = idAt + body.readUInt32LE(9);
  const sessionId = body.toString("utf8", BODY_BYTES, idAt);
  const id = body.toString("utf8", idAt, vectorAt);
  if (body.readUInt8(0) !== PUT) return { kind: "remove", sessionId, id };
  const numbers = Uint8Array.from(body.subarray(vectorAt));
  const vector = new Float32Array(numbers.buffer);
  return { kind: "put", number: body.readUInt32LE(1), sessionId, id, vector };
}
