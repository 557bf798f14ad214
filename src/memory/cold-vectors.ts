/**
 * Vectors for the vector store. The built-in embedder's live in the indexes and depend on neighbours; the store gets one
 * of the entry's own words, which is all a first choice among dormant entries needs.
 */
import type { MemoryEntry } from "../core/memory/entry.ts";
import { searchText } from "../core/memory/entry.ts";
import { hashedDocument, hashedQuery } from "../core/memory/hash-embedding.ts";
import { documentStems, queryStems } from "../core/memory/tokens.ts";
import type { EntryStore } from "./entry-store.ts";

export interface ColdVectorsOptions {
  /** Dimension of the built-in embedder; 0 where another is used. */
  readonly hashDimension: number;
  readonly embedderId: string | undefined;
}

/** Finds or makes vectors of one embedder. */
export class ColdVectors {
  readonly #options: ColdVectorsOptions;
  readonly #store: EntryStore;

  constructor(options: ColdVectorsOptions, store: EntryStore) {
    this.#options = options;
    this.#store = store;
  }

  /** An entry's vector; undefined while it has none. */
  async ofEntry(entry: MemoryEntry): Promise<Float32Array | undefined> {
    const { hashDimension, embedderId } = this.#options;
    if (hashDimension > 0)
      return nonZero(
        hashedDocument(counted(documentStems(searchText(entry))), new Float32Array(hashDimension)),
      );
    const stored = await this.#store.vector(entry.sessionId, entry.id);
    return stored !== undefined && stored.embedder === embedderId ? stored.vector : undefined;
  }

  /** A query's vector, from its words or as given. */
  ofQuery(text: string, given: Float32Array | undefined): Float32Array | undefined {
    const { hashDimension } = this.#options;
    if (hashDimension === 0) return given;
    return nonZero(hashedQuery(counted(queryStems(text)), new Float32Array(hashDimension)));
  }
}

/** How often each stem occurs. */
function counted(stems: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const stem of stems) counts.set(stem, (counts.get(stem) ?? 0) + 1);
  return counts;
}

/** A text of stop words alone has no direction. */
function nonZero(vector: Float32Array): Float32Array | undefined {
  return vector.some((part) => part !== 0) ? vector : undefined;
}
