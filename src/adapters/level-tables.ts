/**
 * Checks the sorted tables of a LevelDB directory before it is opened, because the package opens them without: it reads
 * blocks whose checksum is wrong, and what it then answers is anything, or the end of the process. Every block of every
 * table that the manifest names is compared with its own checksum. Logs and the manifest are LevelDB's to check, which
 * it does. Formats: doc/table_format.md, doc/log_format.md and db/version_edit.cc of LevelDB.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { crc32c } from "../base/crc32c.ts";
import { fault, refuse } from "../base/fault.ts";

const LOG_BLOCK_BYTES = 32_768;
const LOG_HEADER_BYTES = 7;
const FOOTER_BYTES = 48;
/** Type of compression and checksum behind each block. */
const TRAILER_BYTES = 5;
const CRC_MASK = 0xa282ead8;

interface BlockHandle {
  readonly offset: number;
  readonly size: number;
}

/** Rejects with `DATA_LOSS` when a table is missing or damaged; a directory without a database is fine. */
export async function checkLevelTables(directory: string): Promise<void> {
  for (let manifest = await readManifest(directory); ; ) {
    const problem = await firstProblem(directory, liveTables(manifest));
    if (problem === undefined) return;
    // A process that has the database open may have replaced tables meanwhile; opening will say that it is locked.
    const now = await readManifest(directory);
    if (manifest.length === now.length) refuse(fault("DATA_LOSS", problem));
    manifest = now;
  }
}

async function firstProblem(
  directory: string,
  tables: ReadonlySet<number>,
): Promise<{ readonly where: string; readonly detail: string } | undefined> {
  for (const number of tables) {
    const where = join(directory, `${String(number).padStart(6, "0")}.ldb`);
    const bytes = await readFile(where).catch(() => undefined);
    const detail = bytes === undefined ? "the table is missing" : problemOfTable(bytes);
    if (detail !== undefined) return { where, detail };
  }
  return undefined;
}

/** Empty where there is none, which is a new database or for the opening to report. */
async function readManifest(directory: string): Promise<Uint8Array> {
  const current = await readFile(join(directory, "CURRENT"), "utf8").catch(() => "");
  return readFile(join(directory, current.trim())).catch(() => new Uint8Array(0));
}

/** Numbers of the tables in use; none of a manifest that makes no sense, which opening will report. */
function liveTables(manifest: Uint8Array): ReadonlySet<number> {
  const live = new Set<number>();
  try {
    for (const edit of logRecords(manifest)) applyEdit(edit, live);
    return live;
  } catch (error) {
    if (error instanceof RangeError) return new Set();
    throw error;
  }
}

/** Records of a log, put together from the fragments of its blocks. */
function* logRecords(log: Uint8Array): Generator<Uint8Array> {
  const view = new DataView(log.buffer, log.byteOffset, log.length);
  let parts: Uint8Array[] = [];
  for (let at = 0; at + LOG_HEADER_BYTES <= log.length; ) {
    const left = LOG_BLOCK_BYTES - (at % LOG_BLOCK_BYTES);
    if (left < LOG_HEADER_BYTES) {
      at += left;
      continue;
    }
    const size = view.getUint16(at + 4, true);
    const type = view.getUint8(at + 6);
    const isFirst = type === 1 || type === 2;
    const isLast = type === 1 || type === 4;
    if (isFirst) parts = [];
    at += LOG_HEADER_BYTES;
    parts.push(log.subarray(at, at + size));
    at += size;
    if (isLast) yield Buffer.concat(parts);
  }
}

/** Reads one change of the set of tables: tags with numbers, or with texts behind their length. */
function applyEdit(edit: Uint8Array, live: Set<number>): void {
  const reader = new Reader(edit);
  while (!reader.isAtEnd) {
    const tag = reader.varint();
    if (tag === 1) reader.text();
    else if (tag === 2 || tag === 3 || tag === 4 || tag === 9) reader.varint();
    else if (tag === 5 || tag === 6 || tag === 7) {
      reader.varint();
      if (tag === 5) reader.text();
      else {
        const table = reader.varint();
        if (tag === 6) live.delete(table);
        else {
          live.add(table);
          reader.varint();
          reader.text();
          reader.text();
        }
      }
    } else throw new RangeError(`unknown tag ${tag}`);
  }
}

/** What is wrong with a table; undefined when every block is as it was written. */
function problemOfTable(table: Uint8Array): string | undefined {
  try {
    const footer = new Reader(table.subarray(-FOOTER_BYTES));
    const meta = footer.handle();
    const index = footer.handle();
    for (const block of [meta, index]) {
      checkBlock(table, block);
      for (const entry of handlesOf(table, block)) checkBlock(table, entry);
    }
    return undefined;
  } catch (error) {
    if (error instanceof RangeError) return error.message;
    throw error;
  }
}

function checkBlock(table: Uint8Array, { offset, size }: BlockHandle): void {
  const end = offset + size;
  if (end + TRAILER_BYTES > table.length) throw new RangeError(`it ends before byte ${end}`);
  const view = new DataView(table.buffer, table.byteOffset + end + 1, 4);
  const crc = crc32c(table, offset, end + 1);
  const masked = (((crc >>> 15) | (crc << 17)) + CRC_MASK) >>> 0;
  if (view.getUint32(0, true) !== masked) throw new RangeError(`block at ${offset} is damaged`);
  // Only a table of somebody else is compressed: ours could not be looked into otherwise.
  if (table[end] !== 0) throw new RangeError(`block at ${offset} is compressed`);
}

/** The blocks that an index names: values of its entries, behind their keys. */
function handlesOf(table: Uint8Array, { offset, size }: BlockHandle): BlockHandle[] {
  const block = table.subarray(offset, offset + size);
  const restarts = new DataView(block.buffer, block.byteOffset + size - 4, 4).getUint32(0, true);
  const reader = new Reader(block.subarray(0, size - 4 * (restarts + 1)));
  const handles: BlockHandle[] = [];
  while (!reader.isAtEnd) {
    reader.varint();
    const keyBytes = reader.varint();
    const valueBytes = reader.varint();
    reader.skip(keyBytes);
    handles.push(new Reader(reader.take(valueBytes)).handle());
  }
  return handles;
}

/** LevelDB's numbers and texts; throws `RangeError` past the end. */
class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  varint(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined || factor > 2 ** 49) throw new RangeError("it ends within a number");
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
  }

  handle(): BlockHandle {
    return { offset: this.varint(), size: this.varint() };
  }

  text(): void {
    this.skip(this.varint());
  }

  skip(count: number): void {
    this.take(count);
  }

  take(count: number): Uint8Array {
    const end = this.#at + count;
    if (end > this.#bytes.length) throw new RangeError("it ends too early");
    const taken = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }
}
