/**
 * The sessions of the memory: which are in memory, who may change them, and how a change reaches disk and memory in that
 * order. It decides nothing about what is remembered. A change is durable before anybody can see it, and the first
 * failed write is the store's last: nothing is acknowledged after it.
 */
import type { MemoryId } from "../core/memory/entry.ts";
import type { SessionIndexOptions } from "../core/memory/session-index.ts";
import type { ChangeSet } from "./change-set.ts";
import type { EntryStore } from "./entry-store.ts";
import { metaKey } from "./keys.ts";
import { LiveSession } from "./live-session.ts";
import { type SessionSummary, type StoredEntry, sealedJson } from "./records.ts";
import { SessionLocks } from "./session-locks.ts";

export interface BookOptions {
  /** Most resident bytes of all sessions in memory, estimated. */
  readonly cacheBytes: number;
  readonly index: SessionIndexOptions;
  /** Embedder whose vectors the indexes hold; none where the index makes its own. */
  readonly embedderId: string | undefined;
}

/** Name prefix of the notes about sessions that are being erased. */
const ERASING = "erasing/";

/** Sessions in memory, least recently used first, and the way to change any session. */
export class MemoryBook {
  readonly store: EntryStore;
  readonly #options: BookOptions;
  readonly #locks = new SessionLocks();
  readonly #live = new Map<string, LiveSession>();
  /** Bytes of each live session when last looked at, and their sum. */
  readonly #weights = new Map<string, number>();
  #bytes = 0;
  /** Told about entries found without a vector of the present embedder while a session was loaded. */
  onUnembedded: (entries: readonly StoredEntry[]) => void = () => {};

  constructor(options: BookOptions, store: EntryStore) {
    this.#options = options;
    this.store = store;
  }

  /** Finishes what a crash interrupted. Call once, before anything else. */
  async open(): Promise<void> {
    await this.store.open();
    for (const name of await this.store.metaNames(ERASING)) {
      await this.#finishErasing(name.slice(ERASING.length));
    }
  }

  /** Sessions in memory and their bytes. */
  get resident(): { readonly sessions: number; readonly bytes: number } {
    return { sessions: this.#live.size, bytes: this.#bytes };
  }

  /** A session for reading, loaded if need be. It may be used until the next await. */
  async read(sessionId: string): Promise<LiveSession> {
    const live = this.#touch(sessionId);
    if (live !== undefined) return live;
    return this.#locks.hold([sessionId], () => this.loaded(sessionId));
  }

  /**
   * Changes sessions: `decide` runs while nobody else may change them and may read them with {@link loaded},
   * {@link find} and {@link summary}; what it puts into the change set becomes durable as one, then visible.
   */
  async change<T>(
    sessionIds: Iterable<string>,
    changes: ChangeSet,
    decide: () => Promise<T>,
  ): Promise<T> {
    return this.#locks.hold(sessionIds, async () => {
      const result = await decide();
      if (!changes.isEmpty) await this.#commit(changes);
      return result;
    });
  }

  /** A session for changing; only while it is held. */
  async loaded(sessionId: string): Promise<LiveSession> {
    const known = this.#touch(sessionId);
    if (known !== undefined) return known;
    const session = new LiveSession(sessionId, this.#options.index);
    session.summary = await this.store.summary(sessionId);
    const vectors = await this.#vectors(sessionId);
    const unembedded: StoredEntry[] = [];
    for await (const stored of this.store.entries("active", sessionId)) {
      const vector = vectors.get(stored.entry.id);
      session.add(stored, vector);
      if (vector === undefined) unembedded.push(stored);
    }
    this.#live.set(sessionId, session);
    this.#weigh(session);
    this.#makeRoom(sessionId);
    if (unembedded.length > 0) this.onUnembedded(unembedded);
    return session;
  }

  /** One entry, from memory where it is there; dormant ones included. */
  async find(sessionId: string, id: MemoryId): Promise<StoredEntry | undefined> {
    return this.#live.get(sessionId)?.get(id) ?? (await this.store.get(sessionId, id));
  }

  async summary(sessionId: string): Promise<SessionSummary> {
    return this.#live.get(sessionId)?.summary ?? (await this.store.summary(sessionId));
  }

  /**
   * Deletes everything of a session. A note is written first, so that a crash in between leaves a session that is
   * either whole or finished off at the next start, never one that is half there.
   */
  async erase(sessionId: string, also: ChangeSet): Promise<SessionSummary> {
    return this.#locks.hold([sessionId], async () => {
      const summary = await this.summary(sessionId);
      const note = metaKey(`${ERASING}${sessionId}`);
      const { writes } = also.finish(new Map());
      await this.store.write([...writes, { key: note, value: sealedJson(note, {}) }]);
      this.#drop(sessionId);
      await this.#finishErasing(sessionId);
      return summary;
    });
  }

  async #finishErasing(sessionId: string): Promise<void> {
    await this.store.deleteSession(sessionId);
    await this.store.write([{ key: metaKey(`${ERASING}${sessionId}`), value: undefined }]);
  }

  async #commit(changes: ChangeSet): Promise<void> {
    const before = await Promise.all(
      changes.sessions.map(async (id) => [id, await this.summary(id)] as const),
    );
    const { writes, summaries } = changes.finish(new Map(before));
    await this.store.write(writes);
    const vectors = new Map(
      changes.vectors
        .filter(({ stored }) => stored.embedder === this.#options.embedderId)
        .map(({ id, stored }) => [id, stored.vector]),
    );
    const held = await this.#vectorsToKeep(changes, vectors);
    for (const change of changes.changes) {
      const id = change.after?.entry.id ?? change.before?.entry.id ?? "";
      const sessionId = change.after?.entry.sessionId ?? change.before?.entry.sessionId ?? "";
      this.#live.get(sessionId)?.apply(change, held.get(id));
      vectors.delete(id);
    }
    for (const { sessionId, id, stored } of changes.vectors)
      if (vectors.has(id)) this.#live.get(sessionId)?.setVector(id, stored.vector);
    for (const [sessionId, summary] of summaries) {
      const session = this.#live.get(sessionId);
      if (session === undefined) continue;
      session.summary = summary;
      this.#weigh(session);
    }
    this.#makeRoom();
  }

  /** Vectors of changed entries; those that came back to life have theirs on disk. */
  async #vectorsToKeep(
    { changes }: ChangeSet,
    fresh: ReadonlyMap<MemoryId, Float32Array>,
  ): Promise<ReadonlyMap<MemoryId, Float32Array>> {
    const found = new Map(fresh);
    if (this.#options.embedderId === undefined) return found;
    for (const { before, after } of changes) {
      if (before === undefined || after === undefined || !this.#live.has(after.entry.sessionId))
        continue;
      const moved = before.entry.dormantAt !== after.entry.dormantAt;
      const rehidden = before.entry.supersededBy !== after.entry.supersededBy;
      if (found.has(after.entry.id) || !(moved || rehidden)) continue;
      const stored = await this.store.vector(after.entry.sessionId, after.entry.id);
      if (stored?.embedder === this.#options.embedderId) found.set(after.entry.id, stored.vector);
    }
    return found;
  }

  async #vectors(sessionId: string): Promise<ReadonlyMap<MemoryId, Float32Array>> {
    const found = new Map<MemoryId, Float32Array>();
    if (this.#options.embedderId === undefined) return found;
    for await (const { id, stored } of this.store.vectors(sessionId))
      if (stored.embedder === this.#options.embedderId) found.set(id, stored.vector);
    return found;
  }

  /** A live session, moved to the end of the queue of those to drop. */
  #touch(sessionId: string): LiveSession | undefined {
    const live = this.#live.get(sessionId);
    if (live === undefined) return undefined;
    this.#live.delete(sessionId);
    this.#live.set(sessionId, live);
    return live;
  }

  #weigh(session: LiveSession): void {
    this.#bytes += session.bytes - (this.#weights.get(session.sessionId) ?? 0);
    this.#weights.set(session.sessionId, session.bytes);
  }

  /** Drops least recently used sessions; the one just loaded stays even if it alone is too large. */
  #makeRoom(keep?: string): void {
    for (const sessionId of this.#live.keys()) {
      if (this.#bytes <= this.#options.cacheBytes) return;
      if (sessionId !== keep) this.#drop(sessionId);
    }
  }

  #drop(sessionId: string): void {
    this.#live.delete(sessionId);
    this.#bytes -= this.#weights.get(sessionId) ?? 0;
    this.#weights.delete(sessionId);
  }
}
