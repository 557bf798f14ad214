/**
 * Finding things again: from a question to results that say why they are there. It reads one session, which is in memory
 * or is loaded, and never changes anything: being found is no review. Whatever the embedder or the vector store cannot
 * do makes the answer poorer, never an error.
 */
import { FaultError, faultMessage } from "../base/fault.ts";
import type { Instant } from "../base/time.ts";
import { assembleContext, type ContextEntry } from "../core/memory/context.ts";
import type { MemoryEntry, MemoryId } from "../core/memory/entry.ts";
import { inDefaultScope, searchText } from "../core/memory/entry.ts";
import type { ForgettingRules } from "../core/memory/forgetting.ts";
import { dueAt } from "../core/memory/forgetting.ts";
import type { EmbedderKind, FusionMethod, SearchHit, SearchQuery } from "../core/memory/query.ts";
import { SessionIndex, type SessionIndexOptions } from "../core/memory/session-index.ts";
import type { StrengthModel } from "../core/memory/strength.ts";
import type { Host } from "../ports/host.ts";
import type { Embedder, VectorIndex } from "../ports/memory.ts";
import type {
  AssembledContext,
  ContextQuestion,
  Recalled,
  Remembered,
  Retrieved,
  RetrieveRequest,
} from "./api.ts";
import type { MemoryBook } from "./book.ts";
import type { ColdVectors } from "./cold-vectors.ts";
import { documentOf, type LiveSession } from "./live-session.ts";
import { unit } from "./memorizer.ts";
import type { StoredEntry } from "./records.ts";

export interface RecallerOptions {
  readonly rules: ForgettingRules;
  readonly index: SessionIndexOptions;
  readonly embedderKind: EmbedderKind;
  readonly embedderId: string | undefined;
  readonly fusion: FusionMethod | undefined;
  /** A deep search of a session with more dormant entries than this asks the vector store which to look at. */
  readonly coldAbove: number;
}

export interface RecallerDeps {
  readonly book: MemoryBook;
  readonly host: Host;
  readonly model: StrengthModel;
  readonly embedder: Embedder | undefined;
  readonly cold: VectorIndex | undefined;
  readonly coldVectors: ColdVectors;
}

const LIMIT_DEFAULT = 5;
/** Results among which a context chooses, unless the question says. */
const CONTEXT_CANDIDATES = 100;
/** Dormant candidates asked of the vector store for each result wanted, because filters come after it. */
const COLD_SHARE = 4;
const COLD_LEAST = 100;

/** What a search runs on. */
interface Ground {
  readonly index: SessionIndex;
  readonly find: (id: MemoryId) => StoredEntry | undefined;
  readonly degraded: string;
}

/** Answers questions. */
export class Recaller {
  readonly #options: RecallerOptions;
  readonly #deps: RecallerDeps;

  constructor(options: RecallerOptions, deps: RecallerDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  async retrieve(request: RetrieveRequest): Promise<Retrieved> {
    const { vector, degraded } = await this.#vectorOf(request);
    const ground = await this.#ground(request, vector);
    const now = this.#deps.host.now();
    const hits = ground.index.search(this.#query(request, vector, ground, now));
    return {
      results: hits.flatMap((hit) => this.#recalled(hit, ground, now)),
      degraded: [degraded, ground.degraded].filter((reason) => reason !== "").join("; "),
    };
  }

  /** What to show of a session within a budget of tokens. */
  async context(question: ContextQuestion): Promise<AssembledContext> {
    const { budgetTokens, retrieveLastN = 0, leastStrength = 0 } = question;
    const { results, degraded } = await this.retrieve({ limit: CONTEXT_CANDIDATES, ...question });
    const session = await this.#deps.book.read(question.sessionId);
    const now = this.#deps.host.now();
    const recent = lastOf(session, retrieveLastN).map(({ entry }) => this.remembered(entry, now));
    const known = new Map(
      [...results, ...recent]
        .filter(({ strength }) => strength >= leastStrength)
        .map((one) => [one.entry.id, one]),
    );
    const offered = (ones: readonly Remembered[]) =>
      ones.filter(({ entry }) => known.has(entry.id)).map(({ entry }) => contextEntry(entry));
    const { text, tokens, ids } = assembleContext({
      budgetTokens,
      found: offered(results),
      recent: offered(recent),
    });
    return { text, tokens, shown: ids.flatMap((id) => known.get(id) ?? []), degraded };
  }

  /** The newest entries of a session in the default scope, newest first. */
  async latest(sessionId: string, count: number): Promise<readonly Remembered[]> {
    const session = await this.#deps.book.read(sessionId);
    const now = this.#deps.host.now();
    return lastOf(session, count).map(({ entry }) => this.remembered(entry, now));
  }

  /** An entry as it stands at `now`. */
  remembered(entry: MemoryEntry, now: Instant): Remembered {
    const { model } = this.#deps;
    const strength = model.strength(entry.review, now);
    return { entry, strength, forgetAt: dueAt(entry, this.#options.rules, model) };
  }

  #recalled(hit: SearchHit, ground: Ground, now: Instant): readonly Recalled[] {
    const stored = ground.find(hit.id);
    return stored === undefined ? [] : [{ ...this.remembered(stored.entry, now), hit }];
  }

  #query(
    request: RetrieveRequest,
    vector: Float32Array | undefined,
    ground: Ground,
    now: Instant,
  ): SearchQuery {
    const { embedderKind } = this.#options;
    const fusion = request.fusion ?? this.#options.fusion;
    const strengthOf = (id: MemoryId): number => {
      const stored = ground.find(id);
      return stored === undefined ? 0 : this.#deps.model.strength(stored.entry.review, now);
    };
    return {
      text: request.text,
      limit: request.limit ?? LIMIT_DEFAULT,
      embedderKind,
      strengthOf,
      deep: request.deep ?? false,
      ...(vector === undefined ? {} : { vector }),
      ...(request.filter === undefined ? {} : { filter: request.filter }),
      ...(fusion === undefined ? {} : { fusion }),
      ...(request.weights === undefined ? {} : { weights: request.weights }),
      ...(request.mmr === undefined ? {} : { mmr: request.mmr }),
    };
  }

  /** The query's vector; without one the search goes by words alone and says why. */
  async #vectorOf(
    request: RetrieveRequest,
  ): Promise<{ readonly vector: Float32Array | undefined; readonly degraded: string }> {
    if (request.vector !== undefined) return { vector: unit(request.vector), degraded: "" };
    const { embedder } = this.#deps;
    if (embedder === undefined || request.text.trim() === "")
      return { vector: undefined, degraded: "" };
    try {
      const [vector] = await embedder.embed([request.text]);
      return { vector, degraded: "" };
    } catch (error) {
      if (!(error instanceof FaultError)) throw error;
      return { vector: undefined, degraded: faultMessage(error.fault) };
    }
  }

  async #ground(request: RetrieveRequest, vector: Float32Array | undefined): Promise<Ground> {
    const { book } = this.#deps;
    const session = await book.read(request.sessionId);
    const live: Ground = {
      index: session.index,
      find: (id) => session.get(id),
      degraded: "",
    };
    if (request.deep !== true || session.summary.dormant === 0) return live;
    const { dormant, degraded } = await this.#dormant(request, vector, session.summary.dormant);
    const found = new Map(
      [...session.values(), ...dormant].map((stored) => [stored.entry.id, stored]),
    );
    const index = new SessionIndex(this.#options.index);
    const vectors = await this.#vectors(request.sessionId, vector);
    for (const stored of found.values())
      index.add(documentOf(stored.entry, vectors.get(stored.entry.id)));
    return { index, find: (id) => found.get(id), degraded };
  }

  /** The dormant entries worth looking at: all of them, or of very many those the vector store finds near. */
  async #dormant(
    { sessionId, text, limit = LIMIT_DEFAULT }: RetrieveRequest,
    given: Float32Array | undefined,
    count: number,
  ): Promise<{ readonly dormant: readonly StoredEntry[]; readonly degraded: string }> {
    const { book, cold, coldVectors } = this.#deps;
    const vector = coldVectors.ofQuery(text, given);
    let degraded = "";
    if (cold !== undefined && vector !== undefined && count > this.#options.coldAbove) {
      try {
        const hits = await cold.search(sessionId, vector, Math.max(COLD_LEAST, limit * COLD_SHARE));
        const found = await Promise.all(hits.map(({ id }) => book.store.get(sessionId, id)));
        return { dormant: found.filter((stored) => stored !== undefined), degraded };
      } catch (error) {
        if (!(error instanceof FaultError)) throw error;
        degraded = faultMessage(error.fault);
      }
    }
    const dormant: StoredEntry[] = [];
    for await (const stored of book.store.entries("dormant", sessionId)) dormant.push(stored);
    return { dormant, degraded };
  }

  async #vectors(
    sessionId: string,
    query: Float32Array | undefined,
  ): Promise<ReadonlyMap<MemoryId, Float32Array>> {
    const found = new Map<MemoryId, Float32Array>();
    if (query === undefined || this.#options.embedderId === undefined) return found;
    for await (const { id, stored } of this.#deps.book.store.vectors(sessionId))
      if (stored.embedder === this.#options.embedderId) found.set(id, stored.vector);
    return found;
  }
}

/** The newest entries of a session in the default scope, newest first. */
function lastOf(session: LiveSession, count: number): readonly StoredEntry[] {
  if (count === 0) return [];
  return [...session.values()]
    .filter(({ entry }) => inDefaultScope(entry))
    .sort((a, b) => b.entry.createdAt - a.entry.createdAt || (a.entry.id < b.entry.id ? 1 : -1))
    .slice(0, count);
}

function contextEntry(entry: MemoryEntry): ContextEntry {
  return { id: entry.id, text: searchText(entry), taskId: entry.taskId, at: entry.createdAt };
}
