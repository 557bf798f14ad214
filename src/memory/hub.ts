/**
 * The memory of agents, as the rest of the program sees it: memorize, retrieve, review, forget. It puts the parts
 * together and owns their start and end. What it acknowledges is durable and found by its words at once; what it deletes
 * never comes back; and no call on one session reads, ranks with or changes anything of another.
 */
import { fault, refuse } from "../base/fault.ts";
import type { Millis } from "../base/time.ts";
import type { MemoryEntry, MemoryId } from "../core/memory/entry.ts";
import type { ForgettingRules } from "../core/memory/forgetting.ts";
import { dueAt } from "../core/memory/forgetting.ts";
import type { EmbedderKind, FusionMethod } from "../core/memory/query.ts";
import type { SessionIndexOptions } from "../core/memory/session-index.ts";
import { StrengthModel } from "../core/memory/strength.ts";
import type { Host } from "../ports/host.ts";
import type { Embedder, VectorIndex } from "../ports/memory.ts";
import type { OrderedStore } from "../ports/store.ts";
import type { Logger, Metrics } from "../ports/telemetry.ts";
import type {
  AssembledContext,
  ContextQuestion,
  ForgetRequest,
  ListRequest,
  Memorized,
  MemorizeRequest,
  MemoryStats,
  Praise,
  Remembered,
  Retrieved,
  RetrieveRequest,
  ReviewRequest,
} from "./api.ts";
import { MemoryBook } from "./book.ts";
import { ChangeSet } from "./change-set.ts";
import { ColdOutbox } from "./cold-outbox.ts";
import { ColdVectors } from "./cold-vectors.ts";
import { Curator } from "./curator.ts";
import { EmbeddingOutbox } from "./embedding-outbox.ts";
import { EntryStore } from "./entry-store.ts";
import { metaKey } from "./keys.ts";
import { Memorizer, unit } from "./memorizer.ts";
import { Recaller } from "./recaller.ts";
import type { StoredEntry, StoredVector } from "./records.ts";
import { checkMemorize, checkSession, type EntryLimits } from "./requests.ts";
import { Sweeper, type Swept } from "./sweeper.ts";

export interface MemoryHubOptions {
  /** Most resident bytes of sessions. */
  readonly cacheBytes: number;
  readonly rules: ForgettingRules;
  /** 21 weights of FSRS-6. */
  readonly weights: readonly number[];
  readonly sweepEveryMs: Millis;
  /** Most active entries of a session. */
  readonly sessionEntries: number;
  /** Most bytes of one content. */
  readonly contentBytes: number;
  /** Where vectors come from. */
  readonly vectors: VectorSource;
  /** Default by the embedder's kind. */
  readonly fusion?: FusionMethod | undefined;
  /** A deep search of a session with more dormant entries asks the vector store. */
  readonly coldAbove: number;
}

/** The built-in hash of words, an embedder behind the port, the callers themselves, or nobody. */
export type VectorSource =
  | { readonly kind: "hash"; readonly dimension: number }
  | { readonly kind: "embedder"; readonly embedder: Embedder }
  | { readonly kind: "caller"; readonly dimension: number; readonly means: EmbedderKind }
  | { readonly kind: "none" };

export interface MemoryHubDeps {
  readonly store: OrderedStore;
  readonly host: Host;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly cold?: VectorIndex | undefined;
}

/** An entry as it travels to another memory. */
export interface ExportedEntry {
  readonly entry: MemoryEntry;
  readonly vector?: StoredVector | undefined;
}

const BACKLOG_MAX = 10_000;

/** What the outboxes are to the hub. */
interface Outboxes {
  readonly embedding: EmbeddingOutbox | undefined;
  readonly cold: ColdOutbox | undefined;
}

/** The memory; see {@link MemoryHub.open}. */
export class MemoryHub {
  readonly #options: MemoryHubOptions;
  readonly #deps: MemoryHubDeps;
  readonly #model: StrengthModel;
  readonly #book: MemoryBook;
  readonly #outboxes: Outboxes;
  readonly #memorizer: Memorizer;
  readonly #recaller: Recaller;
  readonly #curator: Curator;
  readonly #sweeper: Sweeper;
  readonly #limits: EntryLimits;

  /** Opens the memory in a store, finishes what a crash interrupted, and starts working in the background. */
  static async open(options: MemoryHubOptions, deps: MemoryHubDeps): Promise<MemoryHub> {
    const hub = new MemoryHub(options, deps);
    await hub.#book.open();
    await hub.#outboxes.embedding?.start();
    await hub.#outboxes.cold?.start();
    hub.#sweeper.start();
    return hub;
  }

  private constructor(options: MemoryHubOptions, deps: MemoryHubDeps) {
    const { rules } = options;
    const { host, log } = deps;
    const source = sourceOf(options.vectors);
    this.#options = options;
    this.#deps = deps;
    this.#limits = { contentBytes: options.contentBytes, vectorDimension: source.callerDimension };
    const model = new StrengthModel(options.weights);
    const index = indexOptions(source);
    const { embedderId } = source;
    const book = new MemoryBook(
      { cacheBytes: options.cacheBytes, index, embedderId },
      new EntryStore(deps.store),
    );
    this.#model = model;
    this.#book = book;
    const coldVectors = new ColdVectors(
      { hashDimension: source.hashDimension, embedderId },
      book.store,
    );
    this.#outboxes = outboxesOf(book, options, deps, coldVectors);
    const { embedding } = this.#outboxes;
    this.#memorizer = new Memorizer(
      { rules, sessionEntries: options.sessionEntries, embedderId },
      { book, host, model, nextWish: embedding && (() => embedding.next()) },
    );
    this.#recaller = new Recaller(
      {
        rules,
        index,
        embedderKind: source.means,
        embedderId,
        fusion: options.fusion,
        coldAbove: options.coldAbove,
      },
      { book, host, model, embedder: source.embedder, cold: deps.cold, coldVectors },
    );
    const changeSet = (): ChangeSet => this.#changeSet();
    this.#curator = new Curator({ book, host, model, rules, changeSet });
    this.#sweeper = new Sweeper(
      { rules, everyMs: options.sweepEveryMs },
      { book, host, model, log, changeSet, onForgotten: (swept) => this.#onForgotten(swept) },
    );
    this.#registerGauges();
  }

  /** Remembers a batch as one atomic step; in the order of the requests, what became of each. */
  memorize(requests: readonly MemorizeRequest[]): Promise<readonly Memorized[]> {
    return this.#memorize(requests, () => {});
  }

  /**
   * Remembers what a consumer of the journal found there, and praises what was of use, together with how far it has read,
   * as one step: done twice it does nothing, so it may be repeated after a crash. Cursors of a consumer must not go back.
   */
  async memorizeUpTo(
    consumer: string,
    cursor: bigint,
    requests: readonly MemorizeRequest[],
    praise?: Praise,
  ): Promise<readonly Memorized[]> {
    const applied = await this.appliedCursor(consumer);
    if (applied !== undefined && cursor <= applied) return [];
    const key = metaKey(`cursor/${consumer}`);
    return this.#memorize(
      requests,
      (changes) => changes.set(key, { cursor: String(cursor) }),
      praise,
    );
  }

  /** Names of consumers that have a cursor and begin with `prefix`. */
  async consumers(prefix: string): Promise<readonly string[]> {
    const names = await this.#book.store.metaNames(`cursor/${prefix}`);
    return names.map((name) => name.slice("cursor/".length));
  }

  /** Forgets the cursors of consumers that will never come again. */
  async dropCursors(consumers: readonly string[]): Promise<void> {
    if (consumers.length === 0) return;
    const keys = consumers.map((consumer) => metaKey(`cursor/${consumer}`));
    await this.#book.store.write(keys.map((key) => ({ key, value: undefined })));
  }

  /** The latest entries of a session in the default scope, newest first. */
  async latest(sessionId: string, count: number): Promise<readonly Remembered[]> {
    checkSession(sessionId);
    return this.#recaller.latest(sessionId, count);
  }

  /** The cursor up to which {@link memorizeUpTo} has remembered everything; undefined before the first call. */
  async appliedCursor(consumer: string): Promise<bigint | undefined> {
    const found = await this.#book.store.meta<{ cursor: string }>(`cursor/${consumer}`);
    return found && BigInt(found.cursor);
  }

  async #memorize(
    requests: readonly MemorizeRequest[],
    also: (changes: ChangeSet) => void,
    praise?: Praise,
  ): Promise<readonly Memorized[]> {
    checkMemorize(requests, this.#limits);
    const changes = this.#changeSet();
    also(changes);
    const named = praise === undefined ? requests : [...requests, praise];
    const sessions = named.map(({ sessionId }) => sessionId);
    for (const sessionId of sessions) checkSession(sessionId);
    const outcomes = await this.#book.change(sessions, changes, () =>
      this.#memorizer.decide(requests, changes, praise),
    );
    for (const { outcome } of outcomes) this.#deps.metrics.memorized(outcome);
    this.#notify();
    return outcomes;
  }

  /** The entries of a session that answer a question best. Finding is no review. */
  async retrieve(request: RetrieveRequest): Promise<Retrieved> {
    checkSession(request.sessionId);
    this.#checkVector(request.vector);
    const startedMs = this.#deps.host.elapsedMs();
    const answer = await this.#recaller.retrieve(request);
    this.#deps.metrics.memoryRetrieved((this.#deps.host.elapsedMs() - startedMs) / 1_000);
    return answer;
  }

  /** What to show a model of a session within a budget of tokens. */
  async assembleContext(question: ContextQuestion): Promise<AssembledContext> {
    checkSession(question.sessionId);
    this.#checkVector(question.vector);
    return this.#recaller.context(question);
  }

  /** What became of entries that somebody had in front of them, or pins; all of them or none. */
  async review(
    sessionId: string,
    requests: readonly ReviewRequest[],
  ): Promise<readonly Remembered[]> {
    checkSession(sessionId);
    const reviewed = await this.#curator.review(sessionId, requests);
    this.#notify();
    return this.#remembered(reviewed);
  }

  /** One entry. Rejects with `MEMORY_NOT_FOUND`. */
  async get(sessionId: string, id: MemoryId): Promise<Remembered> {
    checkSession(sessionId);
    return this.describe((await this.#curator.get(sessionId, id)).entry);
  }

  /** A page of a session, oldest first. */
  async list(request: ListRequest): Promise<readonly Remembered[]> {
    checkSession(request.sessionId);
    return this.#remembered(await this.#curator.list(request));
  }

  /** Deletes entries now; answers how many. */
  async forget(request: ForgetRequest): Promise<number> {
    checkSession(request.sessionId);
    const deleted = await this.#curator.forget(request);
    this.#deps.metrics.memoriesForgotten("request", deleted);
    this.#notify();
    return deleted;
  }

  /** Deletes a session everywhere: entries, vectors, indexes, queues, the vector store. Answers how many entries. */
  async eraseSession(sessionId: string): Promise<number> {
    checkSession(sessionId);
    const changes = this.#changeSet();
    changes.cold({ kind: "remove", sessionId });
    const { active, dormant } = await this.#book.erase(sessionId, changes);
    this.#deps.metrics.memoriesForgotten("request", active + dormant);
    this.#notify();
    return active + dormant;
  }

  /** Counts of one session, or of all. */
  async stats(sessionId?: string): Promise<MemoryStats> {
    const { store, resident } = this.#book;
    let sessions = 0;
    let active = 0;
    let dormant = 0;
    let bytes = 0;
    const summaries = sessionId === undefined ? store.sessions() : [await this.#named(sessionId)];
    for await (const { summary } of summaries) {
      if (summary.active + summary.dormant > 0) sessions++;
      active += summary.active;
      dormant += summary.dormant;
      bytes += summary.bytes;
    }
    return {
      sessions,
      active,
      dormant,
      contentBytes: bytes,
      diskBytes: await store.sizeBytes(),
      residentSessions: resident.sessions,
      residentBytes: resident.bytes,
      embeddingBacklog: await store.count("embedding", BACKLOG_MAX),
      coldBacklog: await store.count("cold", BACKLOG_MAX),
      embedder: embedderIdOf(this.#options.vectors) ?? "none",
    };
  }

  async #named(sessionId: string) {
    checkSession(sessionId);
    return { summary: await this.#book.summary(sessionId) };
  }

  /** Names of the sessions that hold something. */
  async *sessions(): AsyncIterable<string> {
    for await (const { sessionId } of this.#book.store.sessions()) yield sessionId;
  }

  /** Everything of a session, active before dormant. */
  async *export(sessionId: string): AsyncIterable<ExportedEntry> {
    checkSession(sessionId);
    for (const kind of ["active", "dormant"] as const) {
      for await (const { entry } of this.#book.store.entries(kind, sessionId)) {
        const vector = await this.#book.store.vector(sessionId, entry.id);
        yield { entry, vector };
      }
    }
  }

  /** An entry with its strength now. */
  describe(entry: MemoryEntry): Remembered {
    return this.#recaller.remembered(entry, this.#deps.host.now());
  }

  /** Takes exported entries in as they were; those whose id the session has already are passed over. */
  async import(exported: readonly ExportedEntry[]): Promise<number> {
    for (const { entry } of exported) checkSession(entry.sessionId);
    const changes = this.#changeSet();
    const sessions = exported.map(({ entry }) => entry.sessionId);
    const imported = await this.#book.change(sessions, changes, async () => {
      const taken = new Set<string>();
      for (const { entry, vector } of exported) {
        const name = JSON.stringify([entry.sessionId, entry.id]);
        if (taken.has(name) || (await this.#book.find(entry.sessionId, entry.id))) continue;
        taken.add(name);
        this.#takeIn(entry, vector, changes);
      }
      return taken.size;
    });
    this.#notify();
    return imported;
  }

  #takeIn(entry: MemoryEntry, vector: StoredVector | undefined, changes: ChangeSet): void {
    const due = dueAt(entry, this.#options.rules, this.#model);
    const hash = this.#memorizer.hashOf(entry.content);
    changes.change(undefined, {
      entry,
      hash,
      dueAt: due === undefined ? undefined : Math.floor(due),
    });
    const { sessionId, id } = entry;
    const { embedding } = this.#outboxes;
    const { embedderId } = sourceOf(this.#options.vectors);
    if (vector !== undefined && vector.embedder === embedderId)
      changes.vector(sessionId, id, { embedder: embedderId, vector: unit(vector.vector) });
    else if (embedding !== undefined) changes.wish(embedding.next(), { sessionId, id, hash });
  }

  /** Forgets what is due now, without waiting for the timer. */
  sweep(): Promise<Swept> {
    return this.#sweeper.sweep();
  }

  /** Resolves when nothing waits for the embedder or the vector store, or both have to be waited for. */
  async settled(): Promise<void> {
    await this.#outboxes.embedding?.idle();
    await this.#outboxes.cold?.idle();
  }

  /** Stops background work, lets what is under way end, and closes the store. */
  async close(): Promise<void> {
    await this.#sweeper.stop();
    await this.#outboxes.embedding?.stop();
    await this.#outboxes.cold?.stop();
    await this.#deps.store.close();
  }

  #changeSet(): ChangeSet {
    const { cold } = this.#outboxes;
    return new ChangeSet(cold && (() => cold.next()));
  }

  #notify(): void {
    this.#outboxes.embedding?.notify();
    this.#outboxes.cold?.notify();
  }

  #onForgotten({ dormant, deleted }: Swept): void {
    this.#deps.metrics.memoriesForgotten("weak", dormant);
    this.#deps.metrics.memoriesForgotten("expired", deleted);
    this.#notify();
  }

  #remembered(stored: readonly StoredEntry[]): readonly Remembered[] {
    return stored.map(({ entry }) => this.describe(entry));
  }

  #checkVector(vector: Float32Array | undefined): void {
    if (vector === undefined) return;
    const dimension = this.#limits.vectorDimension;
    if (dimension === vector.length && vector.every(Number.isFinite)) return;
    const expected =
      dimension === 0 ? "no vector: the embedder makes its own" : `${dimension} numbers`;
    refuse(
      fault("ARGUMENT_INVALID", { field: "vector", value: `${vector.length} numbers`, expected }),
    );
  }

  #registerGauges(): void {
    const { metrics } = this.#deps;
    const one = (value: number) => [{ labels: {}, value }];
    metrics.gauge("goclaw_memory_resident_sessions", () => one(this.#book.resident.sessions));
    metrics.gauge("goclaw_memory_resident_bytes", () => one(this.#book.resident.bytes));
  }
}

/** What follows from where vectors come from. */
interface SourceFacts {
  readonly means: EmbedderKind;
  /** Under which name vectors are stored; undefined where none are. */
  readonly embedderId: string | undefined;
  readonly hashDimension: number;
  /** Of vectors that callers may give; 0 where they may not. */
  readonly callerDimension: number;
  readonly embedder: Embedder | undefined;
}

function sourceOf(source: VectorSource): SourceFacts {
  const nothing = {
    embedderId: undefined,
    hashDimension: 0,
    callerDimension: 0,
    embedder: undefined,
  };
  switch (source.kind) {
    case "hash":
      return { ...nothing, means: "lexical", hashDimension: source.dimension };
    case "embedder": {
      const { embedder } = source;
      const { id, dimension, kind } = embedder;
      return { ...nothing, means: kind, embedderId: id, callerDimension: dimension, embedder };
    }
    case "caller": {
      const { dimension, means } = source;
      return { ...nothing, means, embedderId: `caller/${dimension}`, callerDimension: dimension };
    }
    case "none":
      return { ...nothing, means: "none" };
  }
}

function indexOptions({ hashDimension, callerDimension }: SourceFacts): SessionIndexOptions {
  if (hashDimension > 0) return { hashDimension };
  return callerDimension > 0 ? { vectorDimension: callerDimension } : {};
}

/** Names the embedder of a source; undefined when there is none. */
export function embedderIdOf(source: VectorSource): string | undefined {
  return source.kind === "hash" ? `hash/${source.dimension}` : sourceOf(source).embedderId;
}

function outboxesOf(
  book: MemoryBook,
  { vectors }: MemoryHubOptions,
  { cold, host, log }: MemoryHubDeps,
  coldVectors: ColdVectors,
): Outboxes {
  const embedding =
    vectors.kind === "embedder"
      ? new EmbeddingOutbox({ book, embedder: vectors.embedder, host, log })
      : undefined;
  const out = cold && new ColdOutbox({ book, cold, vectors: coldVectors, host, log });
  return { embedding, cold: out };
}
