/**
 * A Chroma server as a {@link VectorIndex}, over its HTTP API v2: one collection for each embedder, the session in each
 * vector's metadata. Ids are made of session and entry, so equal entry ids of two sessions do not meet.
 */
import { FaultError, fault } from "../../base/fault.ts";
import type { Millis } from "../../base/time.ts";
import type { Host } from "../../ports/host.ts";
import type { VectorHit, VectorIndex, VectorItem } from "../../ports/memory.ts";
import { HttpFailure, type JsonRequest, requestJson } from "./json-http.ts";

export interface ChromaOptions {
  /** Base address: `http://127.0.0.1:8000`. */
  readonly url: string;
  readonly embedderId: string;
  readonly apiKey?: string | undefined;
  /** Default 10 s. */
  readonly timeoutMs?: Millis;
}

const DATABASE = "/api/v2/tenants/default_tenant/databases/default_database/collections";
/** Vectors of one request. */
const BATCH = 500;

/** Vectors in a Chroma collection. */
export class ChromaIndex implements VectorIndex {
  readonly kind = "chroma";
  readonly #options: ChromaOptions;
  readonly #host: Host;
  #collection: string | undefined;

  constructor(options: ChromaOptions, { host }: { readonly host: Host }) {
    this.#options = options;
    this.#host = host;
  }

  async upsert(items: readonly VectorItem[]): Promise<void> {
    for (let at = 0; at < items.length; at += BATCH) {
      const batch = items.slice(at, at + BATCH);
      await this.#post("upsert", {
        ids: batch.map(({ sessionId, id }) => keyOf(sessionId, id)),
        embeddings: batch.map(({ vector }) => [...vector]),
        metadatas: batch.map(({ sessionId, id }) => ({ session: hex(sessionId), entry: id })),
      });
    }
  }

  async remove(sessionId: string, ids: readonly string[]): Promise<void> {
    for (let at = 0; at < ids.length; at += BATCH) {
      const keys = ids.slice(at, at + BATCH).map((id) => keyOf(sessionId, id));
      await this.#post("delete", { ids: keys });
    }
  }

  async eraseSession(sessionId: string): Promise<void> {
    await this.#post("delete", { where: ofSession(sessionId) });
  }

  async search(
    sessionId: string,
    vector: Float32Array,
    limit: number,
  ): Promise<readonly VectorHit[]> {
    if (limit === 0) return [];
    const answer = (await this.#post("query", {
      query_embeddings: [[...vector]],
      n_results: limit,
      where: ofSession(sessionId),
      include: ["distances", "metadatas"],
    })) as { distances?: number[][]; metadatas?: { entry?: string }[][] };
    const entries = answer.metadatas?.[0] ?? [];
    return entries.map(({ entry = "" }, at) => ({
      id: entry,
      score: 1 - (answer.distances?.[0]?.[at] ?? 1),
    }));
  }

  async count(): Promise<number> {
    const collection = await this.#collectionId();
    return (await this.#send("count", "GET", `${DATABASE}/${collection}/count`)) as number;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async #post(operation: string, body: object): Promise<unknown> {
    const collection = await this.#collectionId();
    return this.#send(operation, "POST", `${DATABASE}/${collection}/${operation}`, body);
  }

  async #collectionId(): Promise<string> {
    if (this.#collection !== undefined) return this.#collection;
    // Collection names are short and of few letters; an embedder's id is neither.
    const name = `goclaw-${this.#host.sha256(this.#options.embedderId).slice(0, 40)}`;
    const body = { name, get_or_create: true, configuration: { hnsw: { space: "cosine" } } };
    const { id } = (await this.#send("open", "POST", DATABASE, body)) as { id: string };
    this.#collection = id;
    return id;
  }

  async #send(
    operation: string,
    method: JsonRequest["method"],
    path: string,
    body?: object,
  ): Promise<unknown> {
    const { url, apiKey, timeoutMs = 10_000 } = this.#options;
    const request: JsonRequest = {
      url: `${url.replace(/\/$/, "")}${path}`,
      method,
      timeoutMs,
      headers: apiKey === undefined ? {} : { "x-chroma-token": apiKey },
      ...(body === undefined ? {} : { body }),
    };
    try {
      return (await requestJson(request, this.#host)).body;
    } catch (error) {
      if (!(error instanceof HttpFailure)) throw error;
      // The server may have been replaced by an empty one.
      this.#collection = undefined;
      const of = fault("VECTOR_STORE_FAILED", {
        store: "chroma",
        operation,
        detail: error.message,
      });
      throw new FaultError(of, { cause: error });
    }
  }
}

const ofSession = (sessionId: string) => ({ session: { $eq: hex(sessionId) } });

function keyOf(sessionId: string, id: string): string {
  return `${hex(sessionId)}/${id}`;
}

function hex(text: string): string {
  return Buffer.from(text, "utf8").toString("hex");
}
