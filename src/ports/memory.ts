/**
 * What the memory hub asks of the world besides a store: something that turns text into vectors, and a place for the
 * vectors of entries that are too many or too weak to stay in memory. Both may be far away, slow or gone, and the hub
 * works on without them; so neither is ever the only holder of anything.
 */
import type { MemoryId } from "../core/memory/entry.ts";
import type { EmbedderKind } from "../core/memory/query.ts";

/**
 * Turns texts into vectors. Guarantees: as many vectors as texts, in their order, of `dimension` numbers and unit
 * length; equal texts give equal vectors under one `id`. Rejects with `EMBEDDER_FAILED` when it cannot, which callers
 * answer with a search by words.
 */
export interface Embedder {
  /** Names model and settings; vectors of different ids are never compared. */
  readonly id: string;
  readonly kind: EmbedderKind;
  readonly dimension: number;
  /** Most texts of one call. */
  readonly batchMax: number;
  embed(texts: readonly string[]): Promise<readonly Float32Array[]>;
}

/** A vector and whose it is. Session ids are any text. */
export interface VectorItem {
  readonly sessionId: string;
  readonly id: MemoryId;
  /** Unit length. */
  readonly vector: Float32Array;
}

/** An entry near a query. */
export interface VectorHit {
  readonly id: MemoryId;
  /** Cosine, in [-1, 1]. */
  readonly score: number;
}

/**
 * Vectors outside the process, one collection for one embedder. Guarantees:
 * - `upsert`, `remove` and `eraseSession` are idempotent, and once resolved every later search sees them.
 * - A search answers with ids of its own session only, best first, never more than `limit`, at least as many as that
 *   if the session has them.
 * - It holds no text. What it answers is a hint: the hub looks every id up in its own store before it shows anything.
 * - Rejects with `VECTOR_STORE_FAILED`; the same call may then be made again.
 */
export interface VectorIndex {
  /** `lancedb`, `chroma`, `weaviate`, `memory`. */
  readonly kind: string;
  upsert(items: readonly VectorItem[]): Promise<void>;
  remove(sessionId: string, ids: readonly MemoryId[]): Promise<void>;
  eraseSession(sessionId: string): Promise<void>;
  search(sessionId: string, vector: Float32Array, limit: number): Promise<readonly VectorHit[]>;
  /** Vectors of all sessions. */
  count(): Promise<number>;
  close(): Promise<void>;
}
