/**
 * A Weaviate server as a {@link VectorIndex}, over its REST and GraphQL APIs: one class for each embedder, vectors given
 * by us. Object ids must be UUIDs, so they are made from a hash of session and entry; session and entry are properties
 * that are matched as a whole, not word by word.
 */
import { FaultError, fault } from "../../base/fault.ts";
import type { Millis } from "../../base/time.ts";
import type { Host } from "../../ports/host.ts";
import type { VectorHit, VectorIndex, VectorItem } from "../../ports/memory.ts";
import { HttpFailure, type JsonRequest, requestJson } from "./json-http.ts";

export interface WeaviateOptions {
  /** Base address: `http://127.0.0.1:8080`. */
  readonly url: string;
  readonly embedderId: string;
  readonly apiKey?: string | undefined;
  /** Default 10 s. */
  readonly timeoutMs?: Millis;
}

/** Objects of one batch request. */
const BATCH = 200;
/** A batch delete takes this many objects at most (the server's QUERY_MAXIMUM_RESULTS). */
const DELETE_MAX = 10_000;
const TEXT = { dataType: ["text"], tokenization: "field", indexSearchable: false };

interface BatchResult {
  readonly result?: { readonly errors?: { readonly error?: readonly { message?: string }[] } };
}

interface GraphQlAnswer {
  readonly errors?: readonly { readonly message: string }[];
  readonly data?: {
    readonly Get?: Record<string, readonly { entry: string; _additional: { distance: number } }[]>;
    readonly Aggregate?: Record<string, readonly { meta: { count: number } }[]>;
  };
}

/** Vectors in a Weaviate class. */
export class WeaviateIndex implements VectorIndex {
  readonly kind = "weaviate";
  readonly #options: WeaviateOptions;
  readonly #host: Host;
  readonly #class: string;
  #hasClass = false;

  constructor(options: WeaviateOptions, { host }: { readonly host: Host }) {
    this.#options = options;
    this.#host = host;
    this.#class = `Goclaw${host.sha256(options.embedderId).slice(0, 32)}`;
  }

  async upsert(items: readonly VectorItem[]): Promise<void> {
    await this.#createClass();
    for (let at = 0; at < items.length; at += BATCH) {
      const objects = items.slice(at, at + BATCH).map(({ sessionId, id, vector }) => ({
        class: this.#class,
        id: this.#uuidOf(sessionId, id),
        properties: { session: hex(sessionId), entry: id },
        vector: [...vector],
      }));
      const results = (await this.#send("write", "POST", "/v1/batch/objects", {
        objects,
      })) as BatchResult[];
      const problem = results.flatMap(({ result }) => result?.errors?.error ?? [])[0];
      if (problem !== undefined) throw failure("write", problem.message ?? "an object was refused");
    }
  }

  async remove(sessionId: string, ids: readonly string[]): Promise<void> {
    await this.#createClass();
    for (const id of ids) {
      const path = `/v1/objects/${this.#class}/${this.#uuidOf(sessionId, id)}`;
      await this.#send("delete", "DELETE", path, undefined, [404]);
    }
  }

  async eraseSession(sessionId: string): Promise<void> {
    await this.#createClass();
    const where = { path: ["session"], operator: "Equal", valueText: hex(sessionId) };
    const body = { match: { class: this.#class, where } };
    for (;;) {
      const { results } = (await this.#send("delete", "DELETE", "/v1/batch/objects", body)) as {
        results?: { matches?: number; failed?: number };
      };
      if ((results?.failed ?? 0) > 0) throw failure("delete", `${results?.failed} objects stayed`);
      if ((results?.matches ?? 0) < DELETE_MAX) return;
    }
  }

  async search(
    sessionId: string,
    vector: Float32Array,
    limit: number,
  ): Promise<readonly VectorHit[]> {
    if (limit === 0) return [];
    await this.#createClass();
    const where = `{path: ["session"], operator: Equal, valueText: "${hex(sessionId)}"}`;
    const near = `{vector: ${JSON.stringify([...vector])}}`;
    const data = await this.#query(
      `{Get {${this.#class}(limit: ${limit}, where: ${where}, nearVector: ${near}) {entry _additional {distance}}}}`,
    );
    const found = data?.Get?.[this.#class] ?? [];
    return found.map(({ entry, _additional }) => ({ id: entry, score: 1 - _additional.distance }));
  }

  async count(): Promise<number> {
    await this.#createClass();
    const data = await this.#query(`{Aggregate {${this.#class} {meta {count}}}}`);
    return data?.Aggregate?.[this.#class]?.[0]?.meta.count ?? 0;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async #query(query: string): Promise<GraphQlAnswer["data"]> {
    const answer = (await this.#send("search", "POST", "/v1/graphql", { query })) as GraphQlAnswer;
    const [problem] = answer.errors ?? [];
    if (problem !== undefined) throw failure("search", problem.message);
    return answer.data;
  }

  /** Another process may make the class at the same moment; the server then answers 422. */
  async #createClass(): Promise<void> {
    if (this.#hasClass) return;
    const path = `/v1/schema/${this.#class}`;
    const found = await this.#answer("open", { method: "GET", path, accepted: [404] });
    if (found.status === 404) {
      const schema = {
        class: this.#class,
        vectorizer: "none",
        vectorIndexConfig: { distance: "cosine" },
        properties: [
          { name: "session", ...TEXT },
          { name: "entry", ...TEXT },
        ],
      };
      await this.#send("open", "POST", "/v1/schema", schema, [422]);
    }
    this.#hasClass = true;
  }

  /** A UUID of version 8 (RFC 9562: vendor-specific) from the hash of session and entry. */
  #uuidOf(sessionId: string, id: string): string {
    const digest = this.#host.sha256(`${hex(sessionId)}/${id}`);
    const variant = ((Number.parseInt(digest.charAt(16), 16) & 3) | 8).toString(16);
    const parts = [
      digest.slice(0, 8),
      digest.slice(8, 12),
      `8${digest.slice(13, 16)}`,
      `${variant}${digest.slice(17, 20)}`,
      digest.slice(20, 32),
    ];
    return parts.join("-");
  }

  async #send(
    operation: string,
    method: JsonRequest["method"],
    path: string,
    body?: object,
    accepted: readonly number[] = [],
  ): Promise<unknown> {
    return (await this.#answer(operation, { method, path, body, accepted })).body;
  }

  async #answer(
    operation: string,
    request: {
      readonly method: JsonRequest["method"];
      readonly path: string;
      readonly body?: object | undefined;
      readonly accepted: readonly number[];
    },
  ) {
    const { url, apiKey, timeoutMs = 10_000 } = this.#options;
    const { method, path, body, accepted } = request;
    try {
      return await requestJson(
        {
          url: `${url.replace(/\/$/, "")}${path}`,
          method,
          timeoutMs,
          headers: apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` },
          ...(body === undefined ? {} : { body }),
        },
        this.#host,
        accepted,
      );
    } catch (error) {
      if (!(error instanceof HttpFailure)) throw error;
      this.#hasClass = false;
      throw failure(operation, error.message, error);
    }
  }
}

function failure(operation: string, detail: string, cause?: unknown): FaultError {
  const of = fault("VECTOR_STORE_FAILED", { store: "weaviate", operation, detail });
  return new FaultError(of, { cause });
}

function hex(text: string): string {
  return Buffer.from(text, "utf8").toString("hex");
}
