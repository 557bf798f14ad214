/**
 * One session in memory: its active entries and their index. It is a cache of what the store holds, built on first use
 * and dropped when others need the room, and it changes only after a change is durable. It never sees another session.
 */
import type { MemoryEntry, MemoryId } from "../core/memory/entry.ts";
import { searchText } from "../core/memory/entry.ts";
import type { IndexedDocument } from "../core/memory/query.ts";
import { SessionIndex, type SessionIndexOptions } from "../core/memory/session-index.ts";
import type { EntryChange } from "./change-set.ts";
import { contentBytes, EMPTY_SESSION, type SessionSummary, type StoredEntry } from "./records.ts";

/** Bytes of an entry's objects besides its text, estimated from the heap of a million of them. */
const ENTRY_BYTES = 600;

/** The active entries of one session. */
export class LiveSession {
  readonly sessionId: string;
  readonly index: SessionIndex;
  readonly #entries = new Map<MemoryId, StoredEntry>();
  readonly #byHash = new Map<string, MemoryId>();
  #contentBytes = 0;
  summary: SessionSummary = EMPTY_SESSION;

  constructor(sessionId: string, options: SessionIndexOptions) {
    this.sessionId = sessionId;
    this.index = new SessionIndex(options);
  }

  /** Resident bytes, estimated. */
  get bytes(): number {
    return this.#entries.size * ENTRY_BYTES + this.#contentBytes + this.index.bytes;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(id: MemoryId): StoredEntry | undefined {
    return this.#entries.get(id);
  }

  /** The entry with this content, if one is active. */
  like(hash: string): StoredEntry | undefined {
    const id = this.#byHash.get(hash);
    return id === undefined ? undefined : this.#entries.get(id);
  }

  values(): IterableIterator<StoredEntry> {
    return this.#entries.values();
  }

  /** Takes an entry in, as loading does. */
  add(stored: StoredEntry, vector: Float32Array | undefined): void {
    const { entry, hash } = stored;
    this.#entries.set(entry.id, stored);
    this.#byHash.set(hash, entry.id);
    this.#contentBytes += contentBytes(entry.content);
    this.index.add(documentOf(entry, vector));
  }

  /** Follows a durable change. */
  apply({ before, after }: EntryChange, vector: Float32Array | undefined): void {
    const stays = after !== undefined && after.entry.dormantAt === undefined;
    const known = before === undefined ? undefined : this.#entries.get(before.entry.id);
    if (known === undefined) {
      if (stays) this.add(after, vector);
      return;
    }
    if (!stays) return this.#remove(known);
    this.#entries.set(after.entry.id, after);
    const wasHidden = known.entry.supersededBy !== undefined;
    if (wasHidden === (after.entry.supersededBy !== undefined)) return;
    this.index.add(documentOf(after.entry, vector));
  }

  /** Gives an entry the vector that was made for it. */
  setVector(id: MemoryId, vector: Float32Array): void {
    this.index.setVector(id, vector);
  }

  #remove({ entry, hash }: StoredEntry): void {
    this.#entries.delete(entry.id);
    if (this.#byHash.get(hash) === entry.id) this.#byHash.delete(hash);
    this.#contentBytes -= contentBytes(entry.content);
    this.index.remove(entry.id);
  }
}

/** An entry as the index takes it. */
export function documentOf(entry: MemoryEntry, vector: Float32Array | undefined): IndexedDocument {
  return {
    id: entry.id,
    text: searchText(entry),
    taskId: entry.taskId,
    at: entry.createdAt,
    kind: entry.kind,
    metadata: entry.metadata,
    hidden: entry.supersededBy !== undefined || entry.dormantAt !== undefined,
    ...(vector === undefined ? {} : { vector }),
  };
}
