/**
 * One atomic step of the memory: which entries become what. It turns changes of entries into writes of every key that
 * depends on them (the record, the due list, the hash of a dormant one, the session's summary), so that no caller can
 * forget one, and remembers the changes for the sessions in memory, which apply them once the step is durable.
 */
import type { MemoryId } from "../core/memory/entry.ts";
import type { Write } from "../ports/store.ts";
import { dormantHashKey, dueKey, type EntryKind, entryKey, queueKey, sessionKey } from "./keys.ts";
import {
  type ColdChange,
  contentBytes,
  EMPTY_SESSION,
  type EmbeddingWish,
  entryRecord,
  type SessionSummary,
  type StoredEntry,
  type StoredVector,
  sealedJson,
  vectorRecord,
} from "./records.ts";

/** An entry before and after; absent means that it did not or does not exist. */
export interface EntryChange {
  readonly before: StoredEntry | undefined;
  readonly after: StoredEntry | undefined;
}

/** Collects one step; see {@link writes}. */
export class ChangeSet {
  readonly #writes: Write[] = [];
  readonly #deltas = new Map<string, SessionSummary>();
  readonly #changes: EntryChange[] = [];
  readonly #vectors: { sessionId: string; id: MemoryId; stored: StoredVector }[] = [];
  readonly #nextCold: (() => number) | undefined;

  /** `nextCold` numbers the changes of the vector store; absent where there is none. */
  constructor(nextCold?: () => number) {
    this.#nextCold = nextCold;
  }

  get isEmpty(): boolean {
    return this.#writes.length === 0;
  }

  get changes(): readonly EntryChange[] {
    return this.#changes;
  }

  get vectors(): readonly {
    readonly sessionId: string;
    readonly id: MemoryId;
    readonly stored: StoredVector;
  }[] {
    return this.#vectors;
  }

  /** Adds, changes, moves or deletes one entry. An entry may be changed once in a step. */
  change(before: StoredEntry | undefined, after: StoredEntry | undefined): void {
    this.#changes.push({ before, after });
    if (before !== undefined) this.#take(before, after);
    if (after === undefined) return;
    this.#place(after);
    const { sessionId, id } = after.entry;
    const fellAsleep = kindOf(after) === "dormant" && (!before || kindOf(before) === "active");
    if (fellAsleep) this.cold({ kind: "put", sessionId, id });
  }

  /** Sets the vector of an entry that exists after this step. */
  vector(sessionId: string, id: MemoryId, stored: StoredVector): void {
    const key = entryKey("vector", sessionId, id);
    this.#writes.push({ key, value: vectorRecord(key, stored) });
    this.#vectors.push({ sessionId, id, stored });
  }

  /** Queues an entry for the embedder. */
  wish(sequence: number, wish: EmbeddingWish): void {
    this.#put(queueKey("embedding", sequence), wish);
  }

  /** Queues a change of the vector store, where there is one. */
  cold(change: ColdChange): void {
    const sequence = this.#nextCold?.();
    if (sequence !== undefined) this.#put(queueKey("cold", sequence), change);
  }

  /** Any other key of the memory. */
  set(key: Uint8Array, value: object | undefined): void {
    if (value === undefined) this.#writes.push({ key, value: undefined });
    else this.#put(key, value);
  }

  /** Sessions whose counts change. */
  get sessions(): readonly string[] {
    return [...this.#deltas.keys()];
  }

  /** Everything to write, given what the sessions hold now; returns their new summaries beside it. */
  finish(summaries: ReadonlyMap<string, SessionSummary>): {
    readonly writes: readonly Write[];
    readonly summaries: ReadonlyMap<string, SessionSummary>;
  } {
    const after = new Map<string, SessionSummary>();
    const writes = [...this.#writes];
    for (const [sessionId, delta] of this.#deltas) {
      const summary = sum(summaries.get(sessionId) ?? EMPTY_SESSION, delta);
      after.set(sessionId, summary);
      const key = sessionKey(sessionId);
      const isEmpty = summary.active + summary.dormant === 0;
      writes.push({ key, value: isEmpty ? undefined : sealedJson(key, summary) });
    }
    return { writes, summaries: after };
  }

  #put(key: Uint8Array, value: object): void {
    this.#writes.push({ key, value: sealedJson(key, value) });
  }

  /** Removes the keys of `before` that `after` does not write again. */
  #take(before: StoredEntry, after: StoredEntry | undefined): void {
    const { entry, hash, dueAt } = before;
    const { sessionId, id } = entry;
    const kind = kindOf(before);
    const staysInKind = after !== undefined && kindOf(after) === kind;
    if (!staysInKind) this.#delete(entryKey(kind, sessionId, id));
    if (!staysInKind && kind === "dormant") {
      this.#delete(dormantHashKey(sessionId, hash));
      this.cold({ kind: "remove", sessionId, id });
    }
    if (dueAt !== undefined && after?.dueAt !== dueAt) this.#delete(dueKey(dueAt, sessionId, id));
    if (after === undefined) this.#delete(entryKey("vector", sessionId, id));
    this.#count(before, -1);
  }

  #place(after: StoredEntry): void {
    const { entry, hash, dueAt } = after;
    const { sessionId, id } = entry;
    const kind = kindOf(after);
    const key = entryKey(kind, sessionId, id);
    this.#writes.push({ key, value: entryRecord(key, after) });
    if (kind === "dormant") this.#put(dormantHashKey(sessionId, hash), { id });
    if (dueAt !== undefined)
      this.#writes.push({ key: dueKey(dueAt, sessionId, id), value: NOTHING });
    this.#count(after, 1);
  }

  #delete(key: Uint8Array): void {
    this.#writes.push({ key, value: undefined });
  }

  #count(of: StoredEntry, sign: 1 | -1): void {
    const { sessionId, content } = of.entry;
    const isDormant = kindOf(of) === "dormant";
    const delta = {
      active: isDormant ? 0 : sign,
      dormant: isDormant ? sign : 0,
      bytes: sign * contentBytes(content),
    };
    this.#deltas.set(sessionId, sum(this.#deltas.get(sessionId) ?? EMPTY_SESSION, delta));
  }
}

const NOTHING = new Uint8Array(0);

/** Under which letter an entry lies. */
export function kindOf({ entry }: StoredEntry): EntryKind {
  return entry.dormantAt === undefined ? "active" : "dormant";
}

function sum(a: SessionSummary, b: SessionSummary): SessionSummary {
  return { active: a.active + b.active, dormant: a.dormant + b.dormant, bytes: a.bytes + b.bytes };
}
