/**
 * An HNSW graph for each large session as a {@link VectorIndex}, embedded, in a directory and a thread of its own; hnswlib
 * does the searching. Small sessions are scanned, and so is everything where the optional package is missing, which is
 * said once. It carries requests to the thread and back, and decides nothing about vectors.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { Deque } from "../../base/deque.ts";
import { FaultError, fault } from "../../base/fault.ts";
import type { VectorHit, VectorIndex, VectorItem } from "../../ports/memory.ts";
import type { HnswReply, HnswRequest, HnswSettings } from "./hnsw-thread.ts";

/** Sessions up to this many vectors are scanned: that is exact, and fast enough. */
const EXACT_UP_TO = 20_000;

export interface HnswOptions {
  readonly directory: string;
  /** Names the subdirectory. */
  readonly embedderId: string;
  readonly dimension: number;
  /** Default 20,000. */
  readonly exactUpTo?: number;
}

type Done = Extract<HnswReply, { kind: "done" }>;

interface Waiting {
  readonly operation: string;
  readonly resolve: (done: Done) => void;
  readonly reject: (error: Error) => void;
}

/** Vectors in a thread, with graphs over the large sessions. */
export class HnswIndex implements VectorIndex {
  readonly kind = "hnsw";
  /** Whether graphs are made at all; false where the package is missing or was not compiled. */
  readonly graphs: boolean;
  readonly #worker: Worker;
  readonly #waiting = new Deque<Waiting>();
  #gone: string | undefined;
  #closing: Promise<void> | undefined;

  /** Starts the thread and reads the directory. Rejects with `VECTOR_STORE_FAILED`. */
  static open(options: HnswOptions): Promise<HnswIndex> {
    const { directory, embedderId, dimension, exactUpTo = EXACT_UP_TO } = options;
    const name = createHash("sha256").update(`${embedderId} ${dimension}`).digest("hex");
    const settings: HnswSettings = { directory: join(directory, name), dimension, exactUpTo };
    const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
    const file = new URL(`./hnsw-thread.${extension}`, import.meta.url);
    const worker = new Worker(file, { name: "goclaw-vectors", workerData: settings });
    return new Promise((resolve, reject) => {
      worker.once("error", (error) => reject(failed("open", error.message)));
      worker.once("message", (reply: HnswReply) => {
        worker.removeAllListeners("error");
        resolve(new HnswIndex(worker, reply.kind === "open" && reply.graphs));
      });
    });
  }

  private constructor(worker: Worker, graphs: boolean) {
    this.#worker = worker;
    this.graphs = graphs;
    worker.on("message", (reply: HnswReply) => this.#receive(reply));
    worker.on("error", (error) => this.#lost(error.message));
    worker.on("exit", () => this.#lost("the index thread is gone"));
  }

  async upsert(items: readonly VectorItem[]): Promise<void> {
    if (items.length > 0) await this.#ask("write", { kind: "upsert", items });
  }

  async remove(sessionId: string, ids: readonly string[]): Promise<void> {
    if (ids.length > 0) await this.#ask("delete", { kind: "remove", sessionId, ids });
  }

  async eraseSession(sessionId: string): Promise<void> {
    await this.#ask("delete", { kind: "erase", sessionId });
  }

  async search(
    sessionId: string,
    vector: Float32Array,
    limit: number,
  ): Promise<readonly VectorHit[]> {
    const { hits = [] } = await this.#ask("search", { kind: "search", sessionId, vector, limit });
    return hits;
  }

  async count(): Promise<number> {
    const { count = 0 } = await this.#ask("count", { kind: "count" });
    return count;
  }

  close(): Promise<void> {
    this.#closing ??= this.#gone === undefined ? this.#close() : Promise.resolve();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const exited = new Promise<void>((resolve) => this.#worker.once("exit", () => resolve()));
    await this.#ask("close", { kind: "close" });
    await exited;
  }

  #ask(operation: string, request: HnswRequest): Promise<Done> {
    if (this.#gone !== undefined) return Promise.reject(failed(operation, this.#gone));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ operation, resolve, reject });
      this.#worker.postMessage(request);
    });
  }

  #receive(reply: HnswReply): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) return;
    if (reply.kind === "done") waiting.resolve(reply);
    else waiting.reject(failed(waiting.operation, reply.kind === "failed" ? reply.detail : ""));
  }

  #lost(why: string): void {
    this.#gone ??= why;
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift())
      next.reject(failed(next.operation, this.#gone));
  }
}

function failed(operation: string, detail: string): FaultError {
  return new FaultError(fault("VECTOR_STORE_FAILED", { store: "hnsw", operation, detail }));
}
