/**
 * RocksDB as an {@link OrderedStore}: the engine's side of the storage thread. It copies each batch into one buffer,
 * hands the buffer over and waits; reads asked in the same turn travel together. Writes are answered in order, and the
 * first failure, or the thread's death, refuses everything after it.
 */
import { mkdir } from "node:fs/promises";
import { Worker } from "node:worker_threads";
import { Deque } from "../base/deque.ts";
import { type Fault, FaultError, fault } from "../base/fault.ts";
import type { WriteFrame } from "../base/write-frame.ts";
import type { Entry, KeyRange, OrderedStore, RangeOptions, Write } from "../ports/store.ts";
import { directoryBytes } from "./directory-bytes.ts";
import type { Problem, RocksReply, RocksRequest } from "./rocks-thread.ts";
import { decodeValues, encodeValues, frameOf, toEntries } from "./store-frames.ts";

interface Waiting<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: Error) => void;
}

type Found = readonly (Uint8Array | undefined)[];

/** A read that waits to be sent, or for its answer. A negative limit begins with the largest keys. */
type Read = Waiting<Found> &
  ({ readonly key: Uint8Array } | { readonly range: KeyRange; readonly limit: number });

/** An {@link OrderedStore} in a directory of RocksDB's. */
export class RocksStore implements OrderedStore {
  readonly #directory: string;
  readonly #worker: Worker;
  readonly #writes = new Deque<Waiting<void>>();
  /** Sent reads by the id of their request, in the order of its answers. */
  readonly #reads = new Map<number, readonly Read[]>();
  #nextId = 0;
  #unsent: Read[] = [];
  #failure: Fault | undefined;
  #closing: Promise<void> | undefined;
  #closed: (() => void) | undefined;
  #isGone = false;

  /** Starts the thread and opens or creates the database. Rejects with `STORE_LOCKED` or `STORE_FAILED`. */
  static async open(directory: string): Promise<RocksStore> {
    await mkdir(directory, { recursive: true }).catch((error: Error) => {
      throw new FaultError(failed("open", error.message), { cause: error });
    });
    const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
    const file = new URL(`./rocks-thread.${extension}`, import.meta.url);
    const worker = new Worker(file, { name: "goclaw-storage", workerData: { directory } });
    return new Promise((resolve, reject) => {
      const fail = (of: Fault): void => {
        reject(new FaultError(of));
        void worker.terminate();
      };
      worker.once("error", (error) => fail(failed("open", error.message)));
      worker.once("message", (reply: RocksReply) => {
        worker.removeAllListeners("error");
        if (reply.kind === "open") resolve(new RocksStore(directory, worker));
        else if (reply.kind !== "not_open") fail(failed("open", `the thread said ${reply.kind}`));
        else if (reply.code === "LEVEL_LOCKED") fail(fault("STORE_LOCKED", { directory }));
        else fail(problem("open", directory, reply));
      });
    });
  }

  private constructor(directory: string, worker: Worker) {
    this.#directory = directory;
    this.#worker = worker;
    worker.on("message", (reply: RocksReply) => this.#receive(reply));
    worker.on("error", (error) => this.#fail(failed("write", error.message)));
    worker.on("exit", () => {
      this.#isGone = true;
      this.#fail(failed("write", "the storage thread is gone"));
      this.#closed?.();
    });
  }

  write(batch: readonly Write[] | WriteFrame): Promise<void> {
    if (this.#refuses("write") !== undefined) return this.#refused("write");
    const { buffer: frame } = frameOf(batch);
    return this.#postWrite({ kind: "write", frame }, [frame]);
  }

  deleteRange(range: KeyRange): Promise<void> {
    if (this.#refuses("delete") !== undefined) return this.#refused("delete");
    return this.#postWrite({ kind: "delete_range", ...copyOf(range) }, []);
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    const [value] = await this.#read((waiting) => ({ ...waiting, key }));
    return value;
  }

  async range(range: KeyRange, options: RangeOptions = {}): Promise<readonly Entry[]> {
    const { limit = 1_000, reverse = false } = options;
    const signed = reverse ? -limit : limit;
    return toEntries(await this.#read((waiting) => ({ ...waiting, range, limit: signed })));
  }

  sizeBytes(): Promise<number> {
    return this.#closing === undefined ? directoryBytes(this.#directory) : this.#refused("measure");
  }

  close(): Promise<void> {
    this.#closing ??= new Promise((resolve) => {
      this.#sendReads();
      if (this.#isGone) return resolve();
      this.#closed = resolve;
      this.#post({ kind: "close" });
    });
    return this.#closing;
  }

  #refuses(operation: string): Fault | undefined {
    if (this.#closing !== undefined) return failed(operation, "the store is closed");
    return this.#failure;
  }

  #refused(operation: string): Promise<never> {
    const of = this.#refuses(operation) ?? failed(operation, "the store is closed");
    return Promise.reject(new FaultError(of));
  }

  #postWrite(request: RocksRequest, transfer: readonly ArrayBuffer[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#writes.push({ resolve, reject });
      this.#post(request, transfer);
    });
  }

  #read(make: (waiting: Waiting<Found>) => Read): Promise<Found> {
    if (this.#closing !== undefined || this.#isGone) return this.#refused("read");
    if (this.#unsent.length === 0) queueMicrotask(() => this.#sendReads());
    return new Promise((resolve, reject) => {
      this.#unsent.push(make({ resolve, reject }));
    });
  }

  #sendReads(): void {
    if (this.#unsent.length === 0) return;
    const gets = this.#unsent.filter((read) => "key" in read);
    const ranges = this.#unsent.filter((read) => "range" in read);
    this.#unsent = [];
    const id = this.#nextId++;
    this.#reads.set(id, [...gets, ...ranges]);
    const bounds = ranges.flatMap(({ range }) => [range.from, range.to]);
    const keys = encodeValues([...gets.map(({ key }) => key), ...bounds]);
    const limits = ranges.map(({ limit }) => limit);
    this.#post({ kind: "read", id, keys, limits }, [keys]);
  }

  #answerReads({ id, counts, frame, problems }: Extract<RocksReply, { kind: "found" }>): void {
    const reads = this.#reads.get(id) ?? [];
    this.#reads.delete(id);
    const values = decodeValues(frame);
    const left = [...problems];
    let from = 0;
    for (const [at, read] of reads.entries()) {
      const count = counts[at] ?? 0;
      if (count === -1) {
        const of = problem("read", this.#directory, left.shift() ?? { code: "", detail: "" });
        read.reject(new FaultError(of));
        continue;
      }
      read.resolve(values.slice(from, from + count));
      from += count;
    }
  }

  #post(request: RocksRequest, transfer: readonly ArrayBuffer[] = []): void {
    this.#worker.postMessage(request, [...transfer]);
  }

  #receive(reply: RocksReply): void {
    switch (reply.kind) {
      case "written":
        for (let left = reply.count; left > 0; left--) this.#writes.shift()?.resolve();
        return;
      case "found":
        return this.#answerReads(reply);
      case "failed":
      case "not_open":
        this.#failWrites(problem("write", this.#directory, reply));
        return;
      case "closed":
        void this.#worker.terminate();
        return;
      case "open":
        return;
    }
  }

  #failWrites(of: Fault): void {
    this.#failure ??= of;
    const error = new FaultError(this.#failure);
    for (let next = this.#writes.shift(); next !== undefined; next = this.#writes.shift())
      next.reject(error);
  }

  /** The thread is gone: nobody will answer any more. */
  #fail(of: Fault): void {
    this.#failWrites(of);
    for (const read of [...this.#reads.values(), this.#unsent].flat())
      read.reject(new FaultError(of));
    this.#reads.clear();
    this.#unsent = [];
  }
}

/** RocksDB checks its own blocks as well; what it finds damaged is lost data, not a failing disk. */
function problem(operation: string, directory: string, { code, detail }: Problem): Fault {
  if (code === "LEVEL_CORRUPTION") return fault("DATA_LOSS", { where: directory, detail });
  return failed(operation, detail);
}

/** Views would drag their whole buffer across to the thread. */
function copyOf(range: KeyRange): KeyRange {
  return { from: range.from.slice(), to: range.to.slice() };
}

function failed(operation: string, detail: string): Fault {
  return fault("STORE_FAILED", { operation, detail });
}
