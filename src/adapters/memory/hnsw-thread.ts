/**
 * The index thread: everything about vectors that takes long happens here, so the engine never waits for a graph. It
 * answers requests one after the other; a change is in the log before it is answered. After each answer it brings the
 * graph of that session up by a few points, which spreads the cost of building over the requests that cause it.
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { parentPort, workerData } from "node:worker_threads";
import { unreachable } from "../../base/assert.ts";
import type { VectorHit, VectorItem } from "../../ports/memory.ts";
import { deleteGraph, graphPaths, readGraph, writeGraph } from "./graph-file.ts";
import { type GraphLibrary, loadGraphLibrary } from "./hnsw-library.ts";
import { VectorLog, type VectorRecord } from "./vector-log.ts";
import { VectorShelf } from "./vector-shelf.ts";

/** What the thread is started with. */
export interface HnswSettings {
  readonly directory: string;
  readonly dimension: number;
  readonly exactUpTo: number;
}

export type HnswRequest =
  | { readonly kind: "upsert"; readonly items: readonly VectorItem[] }
  | { readonly kind: "remove"; readonly sessionId: string; readonly ids: readonly string[] }
  | { readonly kind: "erase"; readonly sessionId: string }
  | {
      readonly kind: "search";
      readonly sessionId: string;
      readonly vector: Float32Array;
      readonly limit: number;
    }
  | { readonly kind: "count" }
  | { readonly kind: "close" };

/** Answers come in the order of requests. */
export type HnswReply =
  | { readonly kind: "open"; readonly graphs: boolean }
  | { readonly kind: "done"; readonly hits?: readonly VectorHit[]; readonly count?: number }
  | { readonly kind: "failed"; readonly detail: string };

/** Points a graph gains after a search, and for each vector written while it lags. */
const POINTS_PER_SEARCH = 64;
const POINTS_PER_VECTOR = 4;
/** The log is rewritten when this share of its records says nothing any more. */
const DEAD_SHARE = 0.5;
const REWRITE_FROM = 10_000;
const GRAPHS = "graphs";

class HnswThread {
  readonly #settings: HnswSettings;
  readonly #library: GraphLibrary | undefined;
  readonly #shelves = new Map<string, VectorShelf>();
  readonly #log: VectorLog;
  #nextNumber = 1;
  #records = 0;

  constructor(settings: HnswSettings, library: GraphLibrary | undefined) {
    this.#settings = settings;
    this.#library = library;
    this.#log = new VectorLog(join(settings.directory, "vectors.log"), (record) => {
      this.#apply(record);
    });
    this.#adoptGraphs();
  }

  answer(request: HnswRequest): HnswReply {
    switch (request.kind) {
      case "upsert":
        return this.#change(request.items.map((item) => this.#putOf(item)));
      case "remove": {
        const { sessionId, ids } = request;
        return this.#change(ids.map((id) => ({ kind: "remove", sessionId, id })));
      }
      case "erase":
        return this.#erase(request.sessionId);
      case "search": {
        const shelf = this.#shelves.get(request.sessionId);
        return { kind: "done", hits: shelf?.search(request.vector, request.limit) ?? [] };
      }
      case "count":
        return { kind: "done", count: this.#count() };
      case "close":
        return this.#close();
      default:
        return unreachable(request);
    }
  }

  /** Works on graphs for a moment, after the answer is on its way. */
  afterwards(request: HnswRequest): void {
    switch (request.kind) {
      case "upsert":
        for (const [sessionId, items] of Map.groupBy(request.items, (item) => item.sessionId))
          this.#shelves.get(sessionId)?.catchUp(POINTS_PER_VECTOR * items.length);
        return;
      case "search":
        this.#shelves.get(request.sessionId)?.catchUp(POINTS_PER_SEARCH);
        return;
      case "remove":
      case "erase":
      case "count":
      case "close":
        return;
      default:
        return unreachable(request);
    }
  }

  #putOf({ sessionId, id, vector }: VectorItem): VectorRecord {
    const { dimension } = this.#settings;
    if (vector.length !== dimension)
      throw new RangeError(`a vector has ${vector.length} numbers in place of ${dimension}`);
    return { kind: "put", number: this.#nextNumber++, sessionId, id, vector };
  }

  #change(records: readonly VectorRecord[]): HnswReply {
    if (records.length > 0) this.#log.append(records);
    for (const record of records) this.#apply(record);
    const dead = this.#records - this.#count();
    if (this.#records >= REWRITE_FROM && dead > DEAD_SHARE * this.#records) this.#rewrite();
    return { kind: "done" };
  }

  /** Erased means gone from disk as well. */
  #erase(sessionId: string): HnswReply {
    if (!this.#shelves.delete(sessionId)) return { kind: "done" };
    deleteGraph(this.#graphPath(sessionId));
    this.#rewrite();
    return { kind: "done" };
  }

  #apply(record: VectorRecord): void {
    this.#records++;
    const shelf = this.#shelf(record.sessionId);
    switch (record.kind) {
      case "put":
        this.#nextNumber = Math.max(this.#nextNumber, record.number + 1);
        return shelf.put(record.number, record.id, record.vector);
      case "remove":
        return shelf.remove(record.id);
      default:
        return unreachable(record);
    }
  }

  #shelf(sessionId: string): VectorShelf {
    const known = this.#shelves.get(sessionId);
    if (known !== undefined) return known;
    const { dimension, exactUpTo } = this.#settings;
    const shelf = new VectorShelf({ dimension, exactUpTo, library: this.#library });
    this.#shelves.set(sessionId, shelf);
    return shelf;
  }

  /** A graph that is not taken now must not be taken later either: its numbers could be given again. */
  #adoptGraphs(): void {
    const { directory, dimension } = this.#settings;
    const adopted = new Set<string>();
    for (const [sessionId, shelf] of this.#shelves) {
      if (this.#library === undefined || shelf.size <= this.#settings.exactUpTo) continue;
      const path = this.#graphPath(sessionId);
      const stored = readGraph(this.#library, path, { sessionId, dimension });
      if (stored === undefined) continue;
      shelf.adopt(stored);
      this.#nextNumber = Math.max(this.#nextNumber, stored.watermark + 1);
      adopted.add(path);
    }
    for (const path of graphPaths(join(directory, GRAPHS)))
      if (!adopted.has(path)) deleteGraph(path);
  }

  #rewrite(): void {
    this.#log.rewrite(this.#live());
    this.#records = this.#count();
  }

  *#live(): Generator<VectorRecord> {
    for (const [sessionId, shelf] of this.#shelves)
      for (const [number, item] of shelf.items()) yield { kind: "put", number, sessionId, ...item };
  }

  #count(): number {
    let count = 0;
    for (const { size } of this.#shelves.values()) count += size;
    return count;
  }

  #close(): HnswReply {
    const watermark = this.#nextNumber - 1;
    const { dimension } = this.#settings;
    for (const [sessionId, { graph }] of this.#shelves)
      if (graph !== undefined)
        writeGraph(this.#graphPath(sessionId), { sessionId, dimension, watermark }, graph);
    this.#log.close();
    return { kind: "done" };
  }

  #graphPath(sessionId: string): string {
    const name = createHash("sha256").update(sessionId).digest("hex");
    return join(this.#settings.directory, GRAPHS, name);
  }
}

/** Runs as a worker: serves its port until told to close. */
function serveParent(): void {
  const port = parentPort;
  if (port === null) return;
  const library = loadGraphLibrary();
  const thread = new HnswThread(workerData as HnswSettings, library);
  const post = (reply: HnswReply): void => port.postMessage(reply);
  port.on("message", (request: HnswRequest) => {
    try {
      post(thread.answer(request));
      thread.afterwards(request);
    } catch (error) {
      post({ kind: "failed", detail: error instanceof Error ? error.message : String(error) });
    }
    if (request.kind === "close") port.close();
  });
  post({ kind: "open", graphs: library !== undefined });
}

serveParent();
