/**
 * Vectors from any server that speaks OpenAI's `/embeddings`. It sends at most 256 texts at once, tries again with
 * growing, jittered waits where that can help, remembers the vectors of recent texts, and after several failures in a row
 * stops asking for a while, so that searches fall back to words at once instead of waiting for a server that is down.
 */
import { FaultError, fault } from "../../base/fault.ts";
import type { Millis } from "../../base/time.ts";
import type { Host } from "../../ports/host.ts";
import type { Embedder } from "../../ports/memory.ts";
import { HttpFailure, requestJson } from "./json-http.ts";

export interface OpenAiEmbedderOptions {
  /** Everything before `/embeddings`. */
  readonly url: string;
  readonly model: string;
  readonly dimension: number;
  readonly kind: Embedder["kind"];
  readonly apiKey?: string | undefined;
  /** Most texts of one request. Default 256. */
  readonly batchMax?: number;
  /** Longest wait for one request. Default 30 s. */
  readonly timeoutMs?: Millis;
  /** Requests for one batch, the first included. Default 4. */
  readonly attempts?: number;
  /** Texts whose vectors are remembered. Default 10,000. */
  readonly cacheTexts?: number;
  /** Failed calls in a row after which it stops asking. Default 5. */
  readonly breakAfter?: number;
  /** For how long. Default 30 s. */
  readonly breakMs?: Millis;
}

/** An answer that no repetition makes right. */
const FINAL = { mayPass: false };
const FIRST_WAIT_MS: Millis = 250;
const LONGEST_WAIT_MS: Millis = 10_000;

/** An {@link Embedder} over HTTP. */
export class OpenAiEmbedder implements Embedder {
  readonly id: string;
  readonly kind: Embedder["kind"];
  readonly dimension: number;
  readonly batchMax: number;
  readonly #options: OpenAiEmbedderOptions;
  readonly #host: Host;
  /** Vectors by the hash of their text, least recently used first. */
  readonly #cache = new Map<string, Float32Array>();
  #failures = 0;
  #closedUntilMs = 0;

  constructor(options: OpenAiEmbedderOptions, { host }: { readonly host: Host }) {
    this.#options = options;
    this.#host = host;
    this.id = `openai/${options.model}/${options.dimension}`;
    this.kind = options.kind;
    this.dimension = options.dimension;
    this.batchMax = options.batchMax ?? 256;
  }

  async embed(texts: readonly string[]): Promise<readonly Float32Array[]> {
    const hashes = texts.map((text) => this.#host.sha256(text));
    const found = new Map<string, Float32Array>();
    const missing = new Map<string, string>();
    for (const [at, hash] of hashes.entries()) {
      const known = this.#remembered(hash);
      if (known === undefined) missing.set(hash, texts[at] as string);
      else found.set(hash, known);
    }
    const wanted = [...missing];
    for (let at = 0; at < wanted.length; at += this.batchMax) {
      const batch = wanted.slice(at, at + this.batchMax);
      const vectors = await this.#call(batch.map(([, text]) => text));
      for (const [n, [hash]] of batch.entries()) found.set(hash, vectors[n] as Float32Array);
    }
    for (const [hash, vector] of found) this.#remember(hash, vector);
    return hashes.map((hash) => found.get(hash) as Float32Array);
  }

  /** One batch, as often as it takes or is allowed; counts for the circuit breaker as one. */
  async #call(texts: readonly string[]): Promise<readonly Float32Array[]> {
    const { breakAfter = 5, breakMs = 30_000 } = this.#options;
    if (this.#host.elapsedMs() < this.#closedUntilMs)
      throw this.#failed("it failed several times in a row and is left alone for a while");
    try {
      const vectors = await this.#insist(texts);
      this.#failures = 0;
      return vectors;
    } catch (error) {
      this.#failures++;
      if (this.#failures >= breakAfter) this.#closedUntilMs = this.#host.elapsedMs() + breakMs;
      throw error;
    }
  }

  async #insist(texts: readonly string[]): Promise<readonly Float32Array[]> {
    const { attempts = 4 } = this.#options;
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#request(texts);
      } catch (error) {
        if (!(error instanceof HttpFailure)) throw error;
        if (!error.mayPass || attempt >= attempts) throw this.#failed(error.message, error);
        const waitMs = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (attempt - 1));
        await this.#pause(error.retryAfterMs ?? waitMs * (0.5 + this.#host.random() / 2));
      }
    }
  }

  async #request(texts: readonly string[]): Promise<readonly Float32Array[]> {
    const { url, model, apiKey, timeoutMs = 30_000, dimension } = this.#options;
    const { body } = await requestJson(
      {
        url: `${url.replace(/\/$/, "")}/embeddings`,
        method: "POST",
        headers: apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` },
        body: { model, input: texts, encoding_format: "float" },
        timeoutMs,
      },
      this.#host,
    );
    const rows = (body as { data?: { index?: number; embedding?: unknown }[] } | undefined)?.data;
    if (!Array.isArray(rows) || rows.length !== texts.length)
      throw new HttpFailure("the server answered another number of vectors", FINAL);
    const vectors: Float32Array[] = [];
    for (const [at, { index = at, embedding }] of rows.entries()) {
      const vector = unitVector(embedding, dimension);
      if (vector === undefined)
        throw new HttpFailure(
          `the server answered a vector that has not ${dimension} numbers`,
          FINAL,
        );
      vectors[index] = vector;
    }
    if (vectors.filter(Boolean).length !== texts.length)
      throw new HttpFailure("the server answered a vector twice", FINAL);
    return vectors;
  }

  #remembered(hash: string): Float32Array | undefined {
    const known = this.#cache.get(hash);
    if (known === undefined) return undefined;
    this.#cache.delete(hash);
    this.#cache.set(hash, known);
    return known;
  }

  #remember(hash: string, vector: Float32Array): void {
    this.#cache.set(hash, vector);
    const { cacheTexts = 10_000 } = this.#options;
    for (const oldest of this.#cache.keys()) {
      if (this.#cache.size <= cacheTexts) return;
      this.#cache.delete(oldest);
    }
  }

  #pause(delayMs: Millis): Promise<void> {
    return new Promise((resolve) => {
      this.#host.setTimer(delayMs, resolve);
    });
  }

  #failed(detail: string, cause?: unknown): FaultError {
    return new FaultError(fault("EMBEDDER_FAILED", { embedder: this.id, detail }), { cause });
  }
}

/** `parts` as a vector of length 1; undefined when they are no `dimension` finite numbers or all zero. */
function unitVector(parts: unknown, dimension: number): Float32Array | undefined {
  if (!Array.isArray(parts) || parts.length !== dimension) return undefined;
  const vector = Float32Array.from(parts as number[]);
  const length = Math.hypot(...vector);
  return Number.isFinite(length) && length > 0 ? vector.map((part) => part / length) : undefined;
}
