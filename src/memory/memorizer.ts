/**
 * Taking things in: whether a request becomes a new entry, a review of an old one, or nothing. All of one call is one
 * atomic step over all its sessions. The gate needs no model: equal content and nearly equal words are not stored twice,
 * and what an author was shown a moment ago is not learned from them again.
 */
import type { Instant } from "../base/time.ts";
import type { MemoryContent, MemoryEntry, MemoryId } from "../core/memory/entry.ts";
import { NO_PROVENANCE, searchText } from "../core/memory/entry.ts";
import type { ForgettingRules } from "../core/memory/forgetting.ts";
import { dueAt } from "../core/memory/forgetting.ts";
import { FIRST_GRADE, VERDICT_GRADE } from "../core/memory/review.ts";
import { SessionIndex } from "../core/memory/session-index.ts";
import type { StrengthModel } from "../core/memory/strength.ts";
import type { Host } from "../ports/host.ts";
import type { Memorized, MemorizeRequest, Praise } from "./api.ts";
import type { MemoryBook } from "./book.ts";
import type { ChangeSet } from "./change-set.ts";
import type { LiveSession } from "./live-session.ts";
import { documentOf } from "./live-session.ts";
import type { StoredEntry } from "./records.ts";

export interface MemorizerOptions {
  readonly rules: ForgettingRules;
  /** Most active entries of one session; beyond it the weakest are deleted. */
  readonly sessionEntries: number;
  /** Name under which vectors of callers are kept; undefined when callers give none. */
  readonly embedderId: string | undefined;
}

export interface MemorizerDeps {
  readonly book: MemoryBook;
  readonly host: Host;
  readonly model: StrengthModel;
  /** Number of the next place in the embedding outbox; undefined where nothing waits for an embedder. */
  readonly nextWish: (() => number) | undefined;
}

/** Who else said it: the newest are kept. */
const ECHOES_MAX = 16;

/** An entry is evicted with one in so many of its session, so that not every request at the quota has to look for one. */
const EVICTION_SHARE = 100;

/** What a step has decided about one session so far. */
interface Draft {
  readonly session: LiveSession;
  /** Changed or new entries, by id; `before` is what is durable. */
  readonly entries: Map<MemoryId, { readonly before: StoredEntry | undefined; after: StoredEntry }>;
  readonly byHash: Map<string, MemoryId>;
  /** Words of the entries that are new in this step. */
  readonly fresh: SessionIndex;
}

/** Decides about requests; runs inside {@link MemoryBook.change}. */
export class Memorizer {
  readonly #options: MemorizerOptions;
  readonly #deps: MemorizerDeps;

  constructor(options: MemorizerOptions, deps: MemorizerDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  /** Decides about a checked batch and puts the outcome into `changes`. The sessions must be held. */
  async decide(
    requests: readonly MemorizeRequest[],
    changes: ChangeSet,
    praise?: Praise,
  ): Promise<readonly Memorized[]> {
    const drafts = new Map<string, Draft>();
    const outcomes: Memorized[] = [];
    const now = this.#deps.host.now();
    const draftFor = async (sessionId: string): Promise<Draft> => {
      const draft = drafts.get(sessionId) ?? draftOf(await this.#deps.book.loaded(sessionId));
      drafts.set(sessionId, draft);
      return draft;
    };
    if (praise !== undefined) await this.#praise(praise, await draftFor(praise.sessionId), now);
    for (const request of requests) {
      const draft = await draftFor(request.sessionId);
      outcomes.push(await this.#one(request, draft, changes, now));
    }
    for (const draft of drafts.values()) {
      for (const { before, after } of draft.entries.values()) changes.change(before, after);
      this.#evict(draft, changes, now);
    }
    return outcomes;
  }

  async #praise({ sessionId, ids }: Praise, draft: Draft, now: Instant): Promise<void> {
    const { book, model } = this.#deps;
    for (const id of new Set(ids)) {
      const found = await book.find(sessionId, id);
      if (found === undefined) continue;
      const review = model.review(found.entry.review, VERDICT_GRADE.used, now);
      this.#draft(draft, found, { ...found.entry, review, dormantAt: undefined });
    }
  }

  async #one(
    request: MemorizeRequest,
    draft: Draft,
    changes: ChangeSet,
    now: Instant,
  ): Promise<Memorized> {
    const hash = this.hashOf(request.content);
    const replaced = new Set(request.supersedes);
    const same = await this.#sameAs(hash, draft, request.sessionId);
    const isRepeat = same !== undefined && !replaced.has(same.entry.id);
    const near = isRepeat ? undefined : nearTo(request, draft, replaced);
    const old = isRepeat ? same : near;
    if (old === undefined) return this.#store(request, hash, draft, changes, now);
    const { id } = old.entry;
    if (request.provenance?.parents?.includes(id)) return { id, outcome: "recalled" };
    this.#reinforce(old, request, draft, now, !isRepeat);
    return { id, outcome: isRepeat ? "reviewed" : "reinforced" };
  }

  /** The entry with equal content, dormant ones included; a superseded one does not count. */
  async #sameAs(hash: string, draft: Draft, sessionId: string): Promise<StoredEntry | undefined> {
    const drafted = draft.byHash.get(hash);
    const live = drafted === undefined ? draft.session.like(hash) : undefined;
    const id = drafted ?? live?.entry.id ?? (await this.#dormantLike(hash, draft));
    if (id === undefined) return undefined;
    const found =
      draft.entries.get(id)?.after ?? live ?? (await this.#deps.book.find(sessionId, id));
    return found?.entry.supersededBy === undefined ? found : undefined;
  }

  async #dormantLike(hash: string, { session }: Draft): Promise<MemoryId | undefined> {
    if (session.summary.dormant === 0) return undefined;
    return this.#deps.book.store.dormantLike(session.sessionId, hash);
  }

  async #store(
    request: MemorizeRequest,
    hash: string,
    draft: Draft,
    changes: ChangeSet,
    now: Instant,
  ): Promise<Memorized> {
    const { sessionId, vector } = request;
    const id: MemoryId = this.#deps.host.newRunId();
    const supersedes = await this.#supersede(request, id, draft, now);
    const entry = this.#entryOf(request, id, supersedes, now);
    const stored = this.#stored(entry, hash);
    draft.entries.set(id, { before: undefined, after: stored });
    draft.byHash.set(hash, id);
    draft.fresh.add(documentOf({ ...entry, taskId: "" }, undefined));
    if (vector !== undefined && this.#options.embedderId !== undefined) {
      changes.vector(sessionId, id, { embedder: this.#options.embedderId, vector: unit(vector) });
    } else {
      const sequence = this.#deps.nextWish?.();
      if (sequence !== undefined) changes.wish(sequence, { sessionId, id, hash });
    }
    return { id, outcome: "stored" };
  }

  #entryOf(
    request: MemorizeRequest,
    id: MemoryId,
    supersedes: readonly MemoryId[],
    now: Instant,
  ): MemoryEntry {
    const createdAt = request.createdAt ?? now;
    const grade = FIRST_GRADE[request.importance ?? "normal"];
    return {
      id,
      sessionId: request.sessionId,
      taskId: request.taskId ?? "",
      kind: request.kind || "note",
      content: request.content,
      metadata: request.metadata ?? {},
      createdAt,
      review: this.#deps.model.first(grade, Math.min(createdAt, now)),
      pinned: request.pinned ?? false,
      forgetThreshold: request.forgetThreshold,
      expiresAt: request.ttlMs === undefined ? undefined : now + request.ttlMs,
      dormantAt: undefined,
      supersedes,
      supersededBy: undefined,
      provenance: { ...NO_PROVENANCE, ...request.provenance },
      echoes: [],
    };
  }

  /** Takes replaced entries out of the default scope; ids the session does not have are passed over. */
  async #supersede(
    { sessionId, supersedes = [] }: MemorizeRequest,
    by: MemoryId,
    draft: Draft,
    now: Instant,
  ): Promise<readonly MemoryId[]> {
    const found: MemoryId[] = [];
    for (const id of supersedes) {
      const old = draft.entries.get(id)?.after ?? (await this.#deps.book.find(sessionId, id));
      if (old === undefined) continue;
      found.push(id);
      const review = this.#deps.model.review(old.entry.review, VERDICT_GRADE.wrong, now);
      this.#draft(draft, old, { ...old.entry, review, supersededBy: by });
    }
    return found;
  }

  #reinforce(
    old: StoredEntry,
    request: MemorizeRequest,
    draft: Draft,
    now: Instant,
    isEcho: boolean,
  ): void {
    const review = this.#deps.model.review(old.entry.review, VERDICT_GRADE.used, now);
    const echo = { ...NO_PROVENANCE, ...request.provenance };
    const echoes = isEcho ? [...old.entry.echoes, echo].slice(-ECHOES_MAX) : old.entry.echoes;
    const pinned = old.entry.pinned || (request.pinned ?? false);
    const isAsBefore =
      review === old.entry.review &&
      !isEcho &&
      pinned === old.entry.pinned &&
      old.entry.dormantAt === undefined;
    if (isAsBefore) return;
    this.#draft(draft, old, { ...old.entry, review, echoes, pinned, dormantAt: undefined });
  }

  #draft(draft: Draft, old: StoredEntry, entry: MemoryEntry): void {
    const known = draft.entries.get(entry.id);
    const before = known === undefined ? old : known.before;
    draft.entries.set(entry.id, { before, after: this.#stored(entry, old.hash) });
  }

  #stored(entry: MemoryEntry, hash: string): StoredEntry {
    const due = dueAt(entry, this.#options.rules, this.#deps.model);
    return { entry, hash, dueAt: due === undefined ? undefined : Math.floor(due) };
  }

  /** Deletes the weakest entries of a session that is over its quota; what this step touched is not among them. */
  #evict({ session, entries }: Draft, changes: ChangeSet, now: Instant): void {
    const { sessionEntries } = this.#options;
    const added = [...entries.values()].filter(({ before }) => before === undefined).length;
    const excess = session.size + added - sessionEntries;
    if (excess <= 0) return;
    const { model } = this.#deps;
    const candidates = [...session.values()]
      .filter(({ entry }) => !entry.pinned && !entries.has(entry.id))
      .map((stored) => ({ stored, strength: model.strength(stored.entry.review, now) }))
      .sort((a, b) => a.strength - b.strength || (a.stored.entry.id < b.stored.entry.id ? -1 : 1));
    const count = excess + Math.floor(sessionEntries / EVICTION_SHARE);
    for (const { stored } of candidates.slice(0, count)) changes.change(stored, undefined);
  }

  /** Equal contents have equal hashes. */
  hashOf(content: MemoryContent): string {
    const { host } = this.#deps;
    const hash =
      "text" in content
        ? host.sha256(content.text)
        : host.sha256(`${content.mediaType}\n${host.sha256(content.bytes)}`);
    return hash.slice(0, 32);
  }
}

function draftOf(session: LiveSession): Draft {
  return { session, entries: new Map(), byHash: new Map(), fresh: new SessionIndex() };
}

/** An entry in the default scope that says nearly the same; never one that is being replaced. */
function nearTo(
  request: MemorizeRequest,
  { session, entries, fresh }: Draft,
  replaced: ReadonlySet<MemoryId>,
): StoredEntry | undefined {
  if (!("text" in request.content)) return undefined;
  const text = searchText({ content: request.content, metadata: {} });
  const ids = [...session.index.nearDuplicates(text), ...fresh.nearDuplicates(text)];
  for (const id of ids) {
    const found = entries.get(id)?.after ?? session.get(id);
    if (found === undefined || replaced.has(id) || found.entry.supersededBy !== undefined) continue;
    if ("text" in found.entry.content) return found;
  }
  return undefined;
}

/** A vector of length 1 in the same direction. */
export function unit(vector: Float32Array): Float32Array {
  let sum = 0;
  for (const part of vector) sum += part * part;
  const length = Math.sqrt(sum);
  return vector.map((part) => part / length);
}
