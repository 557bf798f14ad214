/**
 * Looking after what is remembered: reading single entries and lists, reviews, and deletion on request. A deletion is
 * answered when it is durable and gone from every index in memory; the vector store follows, and until then its hits
 * find nothing here.
 */
import { fault, refuse } from "../base/fault.ts";
import type { Instant } from "../base/time.ts";
import type { MemoryEntry, MemoryId } from "../core/memory/entry.ts";
import { admits } from "../core/memory/filter.ts";
import type { ForgettingRules } from "../core/memory/forgetting.ts";
import { dueAt } from "../core/memory/forgetting.ts";
import type { EntryFilter } from "../core/memory/query.ts";
import { VERDICT_GRADE } from "../core/memory/review.ts";
import type { StrengthModel } from "../core/memory/strength.ts";
import type { Host } from "../ports/host.ts";
import type { ForgetRequest, ListRequest, ReviewRequest } from "./api.ts";
import type { MemoryBook } from "./book.ts";
import type { ChangeSet } from "./change-set.ts";
import type { StoredEntry } from "./records.ts";

export interface CuratorDeps {
  readonly book: MemoryBook;
  readonly host: Host;
  readonly model: StrengthModel;
  readonly rules: ForgettingRules;
  readonly changeSet: () => ChangeSet;
}

const LIST_DEFAULT = 100;
/** Entries deleted in one step. */
const DELETE_PAGE = 1_000;

/** Reads, reviews and deletes. */
export class Curator {
  readonly #deps: CuratorDeps;

  constructor(deps: CuratorDeps) {
    this.#deps = deps;
  }

  /** One entry, active or dormant. Rejects with `MEMORY_NOT_FOUND`. */
  async get(sessionId: string, id: MemoryId): Promise<StoredEntry> {
    const found = isId(id) ? await this.#deps.book.find(sessionId, id) : undefined;
    return found ?? refuse(fault("MEMORY_NOT_FOUND", { sessionId, id }));
  }

  /** A page of a session, oldest first. */
  async list(request: ListRequest): Promise<readonly StoredEntry[]> {
    const { sessionId, limit = LIST_DEFAULT, after, filter = {}, dormant = false } = request;
    if (after !== undefined && !isId(after)) return [];
    const found: StoredEntry[] = [];
    const kind = dormant ? "dormant" : "active";
    for await (const stored of this.#deps.book.store.entries(kind, sessionId, after)) {
      if (found.length >= limit) break;
      if (matches(stored.entry, filter)) found.push(stored);
    }
    return found;
  }

  /** Reviews or pins entries of a session as one step. Rejects with `MEMORY_NOT_FOUND` and then changes none. */
  async review(
    sessionId: string,
    requests: readonly ReviewRequest[],
  ): Promise<readonly StoredEntry[]> {
    const changes = this.#deps.changeSet();
    const now = this.#deps.host.now();
    return this.#deps.book.change([sessionId], changes, async () => {
      const reviewed = new Map<MemoryId, { before: StoredEntry; after: StoredEntry }>();
      for (const request of requests) {
        const known = reviewed.get(request.id);
        const before = known?.before ?? (await this.get(sessionId, request.id));
        const after = this.#reviewed(known?.after ?? before, request, now);
        reviewed.set(request.id, { before, after });
      }
      for (const { before, after } of reviewed.values())
        if (after !== before) changes.change(before, after);
      return requests.map(({ id }) => (reviewed.get(id) as { after: StoredEntry }).after);
    });
  }

  /** Deletes what matches, dormant entries included; answers how many. */
  async forget(request: ForgetRequest): Promise<number> {
    if (
      request.ids === undefined &&
      request.filter === undefined &&
      request.belowStrength === undefined
    )
      return 0;
    const ids = request.ids ?? (await this.#idsOf(request));
    let deleted = 0;
    for (let at = 0; at < ids.length; at += DELETE_PAGE)
      deleted += await this.#delete(request, ids.slice(at, at + DELETE_PAGE));
    return deleted;
  }

  async #idsOf(request: ForgetRequest): Promise<readonly MemoryId[]> {
    const ids: MemoryId[] = [];
    for (const kind of ["active", "dormant"] as const)
      for await (const { entry } of this.#deps.book.store.entries(kind, request.sessionId))
        if (this.#isMeant(entry, request)) ids.push(entry.id);
    return ids;
  }

  async #delete(request: ForgetRequest, ids: readonly MemoryId[]): Promise<number> {
    const { book } = this.#deps;
    const changes = this.#deps.changeSet();
    return book.change([request.sessionId], changes, async () => {
      let deleted = 0;
      for (const id of new Set(ids)) {
        const found = isId(id) ? await book.find(request.sessionId, id) : undefined;
        if (found === undefined || !this.#isMeant(found.entry, request)) continue;
        changes.change(found, undefined);
        deleted++;
      }
      return deleted;
    });
  }

  #isMeant(entry: MemoryEntry, { filter = {}, belowStrength }: ForgetRequest): boolean {
    if (!matches(entry, filter)) return false;
    if (belowStrength === undefined) return true;
    const now = this.#deps.host.now();
    return !entry.pinned && this.#deps.model.strength(entry.review, now) < belowStrength;
  }

  /** A good word for a dormant entry, or a pin, wakes it. */
  #reviewed(stored: StoredEntry, { verdict, pinned }: ReviewRequest, now: Instant): StoredEntry {
    const { model, rules } = this.#deps;
    const { entry } = stored;
    const review =
      verdict === undefined
        ? entry.review
        : model.review(entry.review, VERDICT_GRADE[verdict], now);
    const isPinned = pinned ?? entry.pinned;
    const wakes = isPinned || verdict === "used" || verdict === "essential";
    const dormantAt = wakes ? undefined : entry.dormantAt;
    if (review === entry.review && isPinned === entry.pinned && dormantAt === entry.dormantAt)
      return stored;
    const after = { ...entry, review, pinned: isPinned, dormantAt };
    const due = dueAt(after, rules, model);
    return { ...stored, entry: after, dueAt: due === undefined ? undefined : Math.floor(due) };
  }
}

function matches(entry: MemoryEntry, filter: EntryFilter): boolean {
  return admits(filter, { ...entry, at: entry.createdAt });
}

/** Whether a text can be an id at all. */
function isId(text: string): boolean {
  return /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/.test(text);
}
