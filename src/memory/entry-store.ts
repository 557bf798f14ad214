/**
 * Reading what the memory has on disk: entries, vectors, summaries, the due list and the queues. It knows keys and
 * records and nothing about sessions in memory; writes come as finished batches. The store is the only truth; whatever
 * else the memory keeps can be rebuilt from here.
 */
import { keyAfter } from "../base/bytes.ts";
import { fault, refuse } from "../base/fault.ts";
import type { Instant } from "../base/time.ts";
import type { MemoryId } from "../core/memory/entry.ts";
import type { Entry, KeyRange, OrderedStore, Write } from "../ports/store.ts";
import {
  dormantHashKey,
  dueOf,
  dueRange,
  type EntryKind,
  entryKey,
  idOf,
  type KeyKind,
  metaKey,
  type QueueKind,
  queueKey,
  rangeOf,
  SESSION_KINDS,
  sequenceOf,
  sessionKey,
  sessionOf,
  sessionRange,
} from "./keys.ts";
import {
  EMPTY_SESSION,
  openedJson,
  readEntry,
  readVector,
  type SessionSummary,
  type StoredEntry,
  type StoredVector,
  sealedJson,
} from "./records.ts";

/** Keys read at a time. */
const PAGE = 2_000;

/** Version of keys and records. */
const FORMAT = 1;

/** An entry of the due list. */
export interface DueEntry {
  readonly key: Uint8Array;
  readonly sessionId: string;
  readonly id: MemoryId;
}

/** A place in a queue and what stands there. */
export interface Queued<T> {
  readonly key: Uint8Array;
  readonly sequence: number;
  readonly item: T;
}

/** Typed reads on an {@link OrderedStore}. */
export class EntryStore {
  readonly #store: OrderedStore;

  constructor(store: OrderedStore) {
    this.#store = store;
  }

  /** Checks that the store is ours, or makes an empty one ours. Rejects with `STORE_FORMAT`. */
  async open(): Promise<void> {
    const key = metaKey("format");
    const record = await this.#store.get(key);
    if (record === undefined) {
      await this.#store.write([{ key, value: sealedJson(key, { format: FORMAT }) }]);
      return;
    }
    const { format } = openedJson<{ format: number }>(key, record);
    if (format === FORMAT) return;
    refuse(
      fault("STORE_FORMAT", {
        directory: "the memory",
        found: `memory format ${format}`,
        expected: `memory format ${FORMAT}`,
      }),
    );
  }

  write(writes: readonly Write[]): Promise<void> {
    return this.#store.write(writes);
  }

  sizeBytes(): Promise<number> {
    return this.#store.sizeBytes();
  }

  /** An entry, active or dormant. */
  async get(sessionId: string, id: MemoryId): Promise<StoredEntry | undefined> {
    for (const kind of ["active", "dormant"] as const) {
      const key = entryKey(kind, sessionId, id);
      const record = await this.#store.get(key);
      if (record !== undefined) return readEntry(key, record, sessionId, id);
    }
    return undefined;
  }

  /** All entries of a session that are active, or dormant, oldest first. */
  async *entries(
    kind: Exclude<EntryKind, "vector">,
    sessionId: string,
    after?: MemoryId,
  ): AsyncIterable<StoredEntry> {
    const { from, to } = sessionRange(kind, sessionId);
    const start = after === undefined ? from : keyAfter(entryKey(kind, sessionId, after));
    for await (const { key, value } of this.#all({ from: start, to }))
      yield readEntry(key, value, sessionId, idOf(key));
  }

  /** Id of a dormant entry with this content. */
  async dormantLike(sessionId: string, hash: string): Promise<MemoryId | undefined> {
    const key = dormantHashKey(sessionId, hash);
    const record = await this.#store.get(key);
    return record && openedJson<{ id: MemoryId }>(key, record).id;
  }

  async vector(sessionId: string, id: MemoryId): Promise<StoredVector | undefined> {
    const key = entryKey("vector", sessionId, id);
    const record = await this.#store.get(key);
    return record && readVector(key, record);
  }

  /** All vectors of a session, whoever made them. */
  async *vectors(
    sessionId: string,
  ): AsyncIterable<{ readonly id: MemoryId; readonly stored: StoredVector }> {
    for await (const { key, value } of this.#all(sessionRange("vector", sessionId)))
      yield { id: idOf(key), stored: readVector(key, value) };
  }

  async summary(sessionId: string): Promise<SessionSummary> {
    const key = sessionKey(sessionId);
    const record = await this.#store.get(key);
    return record === undefined ? EMPTY_SESSION : openedJson<SessionSummary>(key, record);
  }

  /** Every session that holds something, in the order of their names' bytes. */
  async *sessions(): AsyncIterable<{
    readonly sessionId: string;
    readonly summary: SessionSummary;
  }> {
    for await (const { key, value } of this.#all(rangeOf("session")))
      yield { sessionId: sessionOf(key), summary: openedJson<SessionSummary>(key, value) };
  }

  /** What is due at `now`, earliest first; `after` passes over what the caller has handled, which costs to step over. */
  async due(now: Instant, limit: number, after?: DueEntry): Promise<readonly DueEntry[]> {
    const { from, to } = dueRange(now);
    const start = after === undefined ? from : keyAfter(after.key);
    const found = await this.#store.range({ from: start, to }, { limit });
    return found.map(({ key }) => ({ key, ...dueOf(key) }));
  }

  /** The head of a queue behind a place; see {@link due}. */
  async queued<T>(
    kind: QueueKind,
    limit: number,
    afterSequence = 0,
  ): Promise<readonly Queued<T>[]> {
    const range = { from: queueKey(kind, afterSequence + 1), to: rangeOf(kind).to };
    const found = await this.#store.range(range, { limit });
    return found.map(({ key, value }) => ({
      key,
      sequence: sequenceOf(key),
      item: openedJson<T>(key, value),
    }));
  }

  /** The last number given out in a queue that is still in it; 0 for an empty one. */
  async lastSequence(kind: QueueKind): Promise<number> {
    const [last] = await this.#store.range(rangeOf(kind), { limit: 1, reverse: true });
    return last === undefined ? 0 : sequenceOf(last.key);
  }

  /** A fact about the memory itself. */
  async meta<T>(name: string): Promise<T | undefined> {
    const key = metaKey(name);
    const record = await this.#store.get(key);
    return record && openedJson<T>(key, record);
  }

  /** Facts whose name begins with `prefix`, by their full names. */
  async metaNames(prefix: string): Promise<readonly string[]> {
    const names: string[] = [];
    for await (const { key } of this.#all(rangeOf("meta"))) {
      const name = new TextDecoder().decode(key.subarray(1));
      if (name.startsWith(prefix)) names.push(name);
    }
    return names;
  }

  /** Deletes everything a session has, in several durable steps; the due list forgets by itself. */
  async deleteSession(sessionId: string): Promise<void> {
    for (const kind of SESSION_KINDS) await this.#store.deleteRange(sessionRange(kind, sessionId));
    await this.#store.write([{ key: sessionKey(sessionId), value: undefined }]);
  }

  /** How many keys of a kind there are, up to `limit`. */
  async count(kind: KeyKind, limit: number): Promise<number> {
    return (await this.#store.range(rangeOf(kind), { limit })).length;
  }

  async *#all(range: KeyRange): AsyncIterable<Entry> {
    for (let from = range.from; ; ) {
      const page = await this.#store.range({ from, to: range.to }, { limit: PAGE });
      yield* page;
      const last = page.at(-1);
      if (last === undefined || page.length < PAGE) return;
      from = keyAfter(last.key);
    }
  }
}
