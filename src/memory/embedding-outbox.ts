/**
 * Entries that wait for a vector, as a queue on disk. An entry and its place in the queue are written in one step, so
 * none is forgotten by a crash; a vector for an entry that was deleted or changed meanwhile is thrown away. Until its
 * vector is there an entry is found by its words.
 */
import { searchText } from "../core/memory/entry.ts";
import type { Host } from "../ports/host.ts";
import type { Embedder } from "../ports/memory.ts";
import type { Logger } from "../ports/telemetry.ts";
import type { MemoryBook } from "./book.ts";
import { ChangeSet } from "./change-set.ts";
import type { Queued } from "./entry-store.ts";
import type { EmbeddingWish, StoredEntry } from "./records.ts";
import { Retrying } from "./retrying.ts";

export interface EmbeddingOutboxDeps {
  readonly book: MemoryBook;
  readonly embedder: Embedder;
  readonly host: Host;
  readonly log: Logger;
}

/** Sends what waits to the embedder, oldest first. */
export class EmbeddingOutbox {
  readonly #deps: EmbeddingOutboxDeps;
  readonly #retrying: Retrying;
  /** Sessions whose entries were queued again in this life: once is enough, the queue forgets nothing. */
  readonly #queuedAgain = new Set<string>();
  #sequence = 0;
  /** Where to read on: stepping over what was taken off costs. */
  #done = 0;

  constructor(deps: EmbeddingOutboxDeps) {
    this.#deps = deps;
    this.#retrying = new Retrying({
      host: deps.host,
      log: deps.log,
      work: () => this.#work(),
      what: "making vectors for memories",
    });
    deps.book.onUnembedded = (entries) => void this.#queueAgain(entries);
  }

  /** Takes up what an earlier life left. */
  async start(): Promise<void> {
    this.#sequence = await this.#deps.book.store.lastSequence("embedding");
    if (this.#sequence > 0) this.notify();
  }

  /** The next place in the queue. */
  next(): number {
    this.#sequence++;
    return this.#sequence;
  }

  notify(): void {
    this.#retrying.notify();
  }

  /** Resolves when nothing waits, or when the embedder has to be waited for. */
  idle(): Promise<void> {
    return this.#retrying.idle();
  }

  stop(): Promise<void> {
    return this.#retrying.stop();
  }

  /** Entries of one session whose vector another embedder made, or nobody. Queued twice does no harm. */
  async #queueAgain(entries: readonly StoredEntry[]): Promise<void> {
    const sessionId = entries[0]?.entry.sessionId ?? "";
    if (this.#queuedAgain.has(sessionId)) return;
    this.#queuedAgain.add(sessionId);
    const changes = new ChangeSet();
    for (const { entry, hash } of entries)
      changes.wish(this.next(), { sessionId: entry.sessionId, id: entry.id, hash });
    try {
      await this.#deps.book.store.write(changes.finish(new Map()).writes);
      this.notify();
    } catch (error) {
      this.#queuedAgain.delete(sessionId);
      this.#deps.log.warn({ error }, "entries without a vector could not be queued");
    }
  }

  async #work(): Promise<boolean> {
    const { book, embedder } = this.#deps;
    const wishes = await book.store.queued<EmbeddingWish>(
      "embedding",
      embedder.batchMax,
      this.#done,
    );
    if (wishes.length === 0) return this.#lookAgain();
    const entries = await Promise.all(wishes.map((wish) => this.#wanted(wish)));
    const texts = entries.map((stored) => (stored === undefined ? "" : searchText(stored.entry)));
    const wanted = texts.filter((text) => text.trim() !== "");
    const vectors = wanted.length === 0 ? [] : await embedder.embed(wanted);
    const byText = new Map(wanted.map((text, at) => [text, vectors[at]]));
    await this.#keep(
      wishes,
      texts.map((text) => byText.get(text)),
    );
    this.#done = wishes.at(-1)?.sequence ?? 0;
    return true;
  }

  /** A smaller number may have become durable after a larger one, so the end is believed only from the start. */
  #lookAgain(): boolean {
    const hadStarted = this.#done > 0;
    this.#done = 0;
    return hadStarted;
  }

  /** The entry a wish is about, unless it was deleted, changed, or has its vector. */
  async #wanted({ item }: Queued<EmbeddingWish>): Promise<StoredEntry | undefined> {
    const { book, embedder } = this.#deps;
    const stored = await book.find(item.sessionId, item.id);
    if (stored === undefined || stored.hash !== item.hash) return undefined;
    const known = await book.store.vector(item.sessionId, item.id);
    return known?.embedder === embedder.id ? undefined : stored;
  }

  /** Writes vectors of entries that are still there, and takes the wishes off the queue, in one step. */
  async #keep(
    wishes: readonly Queued<EmbeddingWish>[],
    vectors: readonly (Float32Array | undefined)[],
  ): Promise<void> {
    const { book, embedder } = this.#deps;
    const changes = new ChangeSet();
    await book.change(
      wishes.map(({ item }) => item.sessionId),
      changes,
      async () => {
        const found = await Promise.all(
          wishes.map(({ item }) => book.find(item.sessionId, item.id)),
        );
        for (const [at, { key, item }] of wishes.entries()) {
          changes.set(key, undefined);
          const vector = vectors[at];
          if (vector === undefined || found[at]?.hash !== item.hash) continue;
          changes.vector(item.sessionId, item.id, { embedder: embedder.id, vector });
        }
      },
    );
  }
}
