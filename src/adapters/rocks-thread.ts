/**
 * The storage thread: RocksDB's synced write blocks whoever calls it, so it is called here. The thread takes every
 * request that waits, answers the reads, and puts all waiting batches into one synced write: many commits, one fsync.
 * Batches keep their order, and after the first failed write nothing is written any more. It never touches the
 * engine's memory; buffers come and go by transfer.
 */
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { WriteFrame } from "../base/write-frame.ts";
import { type Database, loadRocks, type RocksBinding } from "./rocks-binding.ts";
import { decodeValues, encodeValues } from "./store-frames.ts";

/** What the engine asks. Writes are answered in order, so they need no id. */
export type RocksRequest =
  | { readonly kind: "write"; readonly frame: ArrayBuffer }
  | { readonly kind: "delete_range"; readonly from: Uint8Array; readonly to: Uint8Array }
  | {
      readonly kind: "read";
      readonly id: number;
      /** A frame of the keys to look up, then first and last bound of each range. */
      readonly keys: ArrayBuffer;
      /** For each range: the most entries, negative to begin with the largest keys. */
      readonly limits: readonly number[];
    }
  | { readonly kind: "close" };

/** What RocksDB said; `code` is the binding's, empty where it has none. */
export interface Problem {
  readonly code: string;
  readonly detail: string;
}

/** What the thread answers. */
export type RocksReply =
  | { readonly kind: "open" }
  | ({ readonly kind: "not_open" } & Problem)
  /** The oldest `count` writes are durable. */
  | { readonly kind: "written"; readonly count: number }
  /** No write from the oldest waiting one on will ever be made. */
  | ({ readonly kind: "failed" } & Problem)
  /**
   * One answer per key, then one per range. `counts` says how many values of the frame each has, -1 for none because
   * of the next problem of the list. A range's values are keys and values in turn.
   */
  | {
      readonly kind: "found";
      readonly id: number;
      readonly counts: readonly number[];
      readonly frame: ArrayBuffer;
      readonly problems: readonly Problem[];
    }
  | { readonly kind: "closed" };

type WriteRequest = Extract<RocksRequest, { kind: "write" | "delete_range" }>;
type ReadRequest = Extract<RocksRequest, { kind: "read" }>;
type Values = readonly (Uint8Array | undefined)[];

/** Two levels of memtables below 100 MiB, no compression of young data, no WAL compression (it costs more than it saves). */
const OPTIONS = {
  createIfMissing: true,
  compaction: "level",
  memtableMemoryBudget: 64 * 1024 * 1024,
  cacheSize: 32 * 1024 * 1024,
  compression: false,
  walCompression: false,
  parallelism: 2,
};
const BUFFERS = { keyEncoding: "buffer", valueEncoding: "buffer", fillCache: true };
/** Cheaper than an empty object, which the binding would search for every key. */
const NO_OPTIONS = undefined;
const DELETED_AT_ONCE = 10_000;

/** Serves one database to one port. */
class RocksThread {
  readonly #rocks: RocksBinding;
  readonly #database: Database;
  readonly #post: (reply: RocksReply, transfer?: readonly ArrayBuffer[]) => void;
  #failure: Problem | undefined;

  constructor(
    rocks: RocksBinding,
    database: Database,
    post: (reply: RocksReply, transfer?: readonly ArrayBuffer[]) => void,
  ) {
    this.#rocks = rocks;
    this.#database = database;
    this.#post = post;
  }

  /** Serves everything that waits: reads first (they may miss pending writes), then all writes together. */
  serve(requests: readonly RocksRequest[]): void {
    const writes: WriteRequest[] = [];
    for (const request of requests) {
      if (request.kind === "write" || request.kind === "delete_range") writes.push(request);
      else if (request.kind !== "close") this.#read(request);
    }
    if (writes.length > 0) this.#write(writes);
    if (requests.at(-1)?.kind === "close") this.#close();
  }

  #write(writes: readonly WriteRequest[]): void {
    if (this.#failure !== undefined) return this.#post({ kind: "failed", ...this.#failure });
    try {
      let merged: ArrayBuffer[] = [];
      for (const write of writes) {
        if (write.kind === "write") merged.push(write.frame);
        else {
          this.#writeFrames(merged);
          merged = [];
          this.#deleteRange(write.from, write.to);
        }
      }
      this.#writeFrames(merged);
    } catch (error) {
      this.#failure = problemOf(error);
      return this.#post({ kind: "failed", ...this.#failure });
    }
    this.#post({ kind: "written", count: writes.length });
  }

  #writeFrames(frames: readonly ArrayBuffer[]): void {
    if (frames.length === 0) return;
    const rocks = this.#rocks;
    const batch = rocks.batch_init();
    for (const frame of frames) {
      for (const { key, value } of new WriteFrame(frame)) {
        if (value === undefined) rocks.batch_del(batch, key, NO_OPTIONS);
        else rocks.batch_put(batch, key, value, NO_OPTIONS);
      }
    }
    rocks.batch_write(this.#database, batch, { sync: true });
    rocks.batch_clear(batch);
  }

  /** Key by key in one batch: RocksDB's own range deletion cannot be synced through this package. */
  #deleteRange(from: Uint8Array, to: Uint8Array): void {
    const rocks = this.#rocks;
    const batch = rocks.batch_init();
    this.#walk(
      { gte: from, lt: to, values: false },
      Number.POSITIVE_INFINITY,
      DELETED_AT_ONCE,
      (rows) => {
        for (let at = 0; at < rows.length; at += 2) {
          rocks.batch_del(batch, rows[at] as Uint8Array, NO_OPTIONS);
        }
      },
    );
    rocks.batch_write(this.#database, batch, { sync: true });
    rocks.batch_clear(batch);
  }

  #read({ id, keys: frameOfKeys, limits }: ReadRequest): void {
    const keys = decodeValues(frameOfKeys).filter((key) => key !== undefined);
    const bounds = keys.splice(keys.length - 2 * limits.length);
    const answers = this.#getAll(keys);
    for (const [at, limit] of limits.entries()) {
      const gte = bounds[2 * at] as Uint8Array;
      const lt = bounds[2 * at + 1] as Uint8Array;
      answers.push(attempt(() => this.#range(gte, lt, limit)));
    }
    const counts: number[] = [];
    const found: (Uint8Array | undefined)[] = [];
    const problems: Problem[] = [];
    for (const answer of answers) {
      if ("code" in answer) {
        counts.push(-1);
        problems.push(answer);
        continue;
      }
      counts.push(answer.length);
      for (const value of answer) found.push(value);
    }
    const frame = encodeValues(found);
    this.#post({ kind: "found", id, counts, frame, problems }, [frame]);
  }

  /** All keys at once; one by one when that fails, so that a damaged block costs only those who need it. */
  #getAll(keys: readonly Uint8Array[]): (Values | Problem)[] {
    if (keys.length === 0) return [];
    const get = (some: readonly Uint8Array[]): Values =>
      this.#rocks.db_get_many_sync(this.#database, some, BUFFERS);
    const all = attempt(() => get(keys));
    if ("code" in all) return keys.map((key) => attempt(() => get([key])));
    return all.map((value) => [value]);
  }

  #range(gte: Uint8Array, lt: Uint8Array, signedLimit: number): Values {
    const limit = Math.abs(signedLimit);
    const flat: Uint8Array[] = [];
    this.#walk({ gte, lt, reverse: signedLimit < 0, values: true }, limit, limit, (rows) => {
      for (const row of rows) flat.push(row);
    });
    return flat;
  }

  #walk(
    options: { gte: Uint8Array; lt: Uint8Array; reverse?: boolean; values: boolean },
    limit: number,
    pageSize: number,
    visit: (rows: readonly Uint8Array[]) => void,
  ): void {
    const iterator = this.#rocks.iterator_init(this.#database, { ...BUFFERS, ...options });
    try {
      for (let left = limit; left > 0; ) {
        const { rows, finished } = this.#rocks.iterator_nextv_sync(
          iterator,
          Math.min(left, pageSize),
        );
        visit(rows);
        left -= rows.length / 2;
        if (finished) return;
      }
    } finally {
      this.#rocks.iterator_close(iterator);
    }
  }

  #close(): void {
    this.#rocks.db_close(this.#database, () => this.#post({ kind: "closed" }));
  }
}

function attempt(read: () => Values): Values | Problem {
  try {
    return read();
  } catch (error) {
    return problemOf(error);
  }
}

function problemOf(error: unknown): Problem {
  if (!(error instanceof Error)) return { code: "", detail: String(error) };
  const { code = "" } = error as { readonly code?: string };
  return { code, detail: error.message };
}

/** Runs as a worker: opens the directory in `workerData` and serves its port until told to close. */
function serveParent(): void {
  const port = parentPort;
  if (port === null) return;
  const post = (reply: RocksReply, transfer: readonly ArrayBuffer[] = []): void => {
    port.postMessage(reply, [...transfer]);
  };
  const rocks = loadRocks();
  const database = rocks.db_init((workerData as { directory: string }).directory);
  rocks.db_open(database, OPTIONS, (error) => {
    if (error) return post({ kind: "not_open", ...problemOf(error) });
    const thread = new RocksThread(rocks, database, post);
    port.on("message", (first: RocksRequest) => {
      const requests = [first];
      for (
        let next = receiveMessageOnPort(port);
        next !== undefined;
        next = receiveMessageOnPort(port)
      ) {
        requests.push(next.message as RocksRequest);
      }
      thread.serve(requests);
      if (requests.at(-1)?.kind === "close") port.removeAllListeners("message");
    });
    post({ kind: "open" });
  });
}

serveParent();
