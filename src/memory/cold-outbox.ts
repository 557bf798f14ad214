/**
 * Changes of the vector store, as a queue on disk: an entry that falls dormant goes there, one that wakes or is deleted
 * leaves it. The store only ever holds what could be rebuilt, so a change may be made twice; while it cannot be reached
 * the queue waits, and a deep search looks at the dormant entries themselves.
 */
import type { Host } from "../ports/host.ts";
import type { VectorIndex, VectorItem } from "../ports/memory.ts";
import type { Logger } from "../ports/telemetry.ts";
import type { MemoryBook } from "./book.ts";
import type { ColdVectors } from "./cold-vectors.ts";
import type { Queued } from "./entry-store.ts";
import type { ColdChange } from "./records.ts";
import { Retrying } from "./retrying.ts";

export interface ColdOutboxDeps {
  readonly book: MemoryBook;
  readonly cold: VectorIndex;
  readonly vectors: ColdVectors;
  readonly host: Host;
  readonly log: Logger;
}

const BATCH = 256;

/** Carries changes to the vector store, oldest first. */
export class ColdOutbox {
  readonly #deps: ColdOutboxDeps;
  readonly #retrying: Retrying;
  #sequence = 0;
  /** Where to read on: stepping over what was taken off costs. */
  #done = 0;

  constructor(deps: ColdOutboxDeps) {
    this.#deps = deps;
    this.#retrying = new Retrying({
      host: deps.host,
      log: deps.log,
      work: () => this.#work(),
      what: `writing to the vector store ${deps.cold.kind}`,
    });
  }

  /** Takes up what an earlier life left. */
  async start(): Promise<void> {
    this.#sequence = await this.#deps.book.store.lastSequence("cold");
    if (this.#sequence > 0) this.notify();
  }

  next(): number {
    this.#sequence++;
    return this.#sequence;
  }

  notify(): void {
    this.#retrying.notify();
  }

  /** Resolves when nothing waits, or when the store has to be waited for. */
  idle(): Promise<void> {
    return this.#retrying.idle();
  }

  async stop(): Promise<void> {
    await this.#retrying.stop();
    await this.#deps.cold.close();
  }

  async #work(): Promise<boolean> {
    const { book } = this.#deps;
    const queued = await book.store.queued<ColdChange>("cold", BATCH, this.#done);
    const run = sameKind(queued);
    if (run.length === 0) return this.#lookAgain();
    if (run[0]?.item.kind === "put") await this.#put(run);
    else await this.#remove(run);
    await book.store.write(run.map(({ key }) => ({ key, value: undefined })));
    this.#done = run.at(-1)?.sequence ?? 0;
    return true;
  }

  /** A smaller number may have become durable after a larger one, so the end is believed only from the start. */
  #lookAgain(): boolean {
    const hadStarted = this.#done > 0;
    this.#done = 0;
    return hadStarted;
  }

  /** Entries that woke or were deleted meanwhile are left out; their removal follows in the queue. */
  async #put(run: readonly Queued<ColdChange>[]): Promise<void> {
    const { book, cold, vectors } = this.#deps;
    const items: VectorItem[] = [];
    for (const { item } of run) {
      const { sessionId, id = "" } = item;
      const stored = await book.store.get(sessionId, id);
      if (stored?.entry.dormantAt === undefined) continue;
      const vector = await vectors.ofEntry(stored.entry);
      if (vector !== undefined) items.push({ sessionId, id, vector });
    }
    if (items.length > 0) await cold.upsert(items);
  }

  async #remove(run: readonly Queued<ColdChange>[]): Promise<void> {
    const { cold } = this.#deps;
    const bySession = new Map<string, string[] | "all">();
    for (const { item } of run) {
      const ids = bySession.get(item.sessionId) ?? [];
      if (item.id === undefined || ids === "all") bySession.set(item.sessionId, "all");
      else bySession.set(item.sessionId, [...ids, item.id]);
    }
    for (const [sessionId, ids] of bySession) {
      if (ids === "all") await cold.eraseSession(sessionId);
      else await cold.remove(sessionId, ids);
    }
  }
}

/** The changes at the head of the queue that are of one kind. */
function sameKind(queued: readonly Queued<ColdChange>[]): readonly Queued<ColdChange>[] {
  const kind = queued[0]?.item.kind;
  const end = queued.findIndex(({ item }) => item.kind !== kind);
  return end === -1 ? queued : queued.slice(0, end);
}
