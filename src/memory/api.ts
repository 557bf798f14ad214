/**
 * What may be asked of the memory, and what it answers: the vocabulary between the hub and its edges (the RPC server,
 * workflows, agents). Sessions are named by `memorySession`, durations are milliseconds, instants are engine time.
 */
import type { Instant, Millis } from "../base/time.ts";
import type { MemoryContent, MemoryEntry, MemoryId, Provenance } from "../core/memory/entry.ts";
import type { EntryFilter, FusionMethod, FusionWeights, SearchHit } from "../core/memory/query.ts";
import type { Importance, Verdict } from "../core/memory/review.ts";

/** Something to remember. */
export interface MemorizeRequest {
  readonly sessionId: string;
  readonly content: MemoryContent;
  /** Groups neighbours. Default none. */
  readonly taskId?: string;
  /** Default `note`. */
  readonly kind?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  /** Default `normal`. */
  readonly importance?: Importance;
  readonly pinned?: boolean;
  /** Deleted after this time, whatever its strength. */
  readonly ttlMs?: Millis;
  /** Strength below which it falls dormant. Default the hub's. */
  readonly forgetThreshold?: number;
  /** Entries of the session that this one replaces. */
  readonly supersedes?: readonly MemoryId[];
  readonly provenance?: Partial<Provenance>;
  /** Made by the caller with the hub's embedder, or by the caller's own where the hub has kind `caller`. */
  readonly vector?: Float32Array;
  /** When it happened. Default now. */
  readonly createdAt?: Instant;
}

/** Entries of a session that were of use. Those that are gone are passed over. */
export interface Praise {
  readonly sessionId: string;
  readonly ids: readonly MemoryId[];
}

/**
 * What became of a request: a new entry; a review of the entry that says the same (`reviewed`) or nearly the same
 * (`reinforced`); or nothing, because it only repeats what its author had been shown (`recalled`).
 */
export type MemorizeOutcome = "stored" | "reviewed" | "reinforced" | "recalled";

export interface Memorized {
  readonly id: MemoryId;
  readonly outcome: MemorizeOutcome;
}

/** A question to one session. */
export interface RetrieveRequest {
  readonly sessionId: string;
  readonly text: string;
  /** Default 5. */
  readonly limit?: number;
  readonly filter?: EntryFilter;
  /** Of the hub's embedder. Default made from the text. */
  readonly vector?: Float32Array;
  readonly fusion?: FusionMethod;
  readonly weights?: FusionWeights;
  readonly mmr?: number;
  /** Also what is dormant or superseded. */
  readonly deep?: boolean;
}

/** An entry, how strong it is now, and when it will be forgotten. */
export interface Remembered {
  readonly entry: MemoryEntry;
  readonly strength: number;
  /** When it falls dormant, or is deleted if it is dormant already; absent while nothing will happen to it. */
  readonly forgetAt: Instant | undefined;
}

/** A result and why it is one. */
export interface Recalled extends Remembered {
  readonly hit: SearchHit;
}

export interface Retrieved {
  readonly results: readonly Recalled[];
  /** Why vectors took no part; empty when they did, or when the embedder has none. */
  readonly degraded: string;
}

/** A question whose answer is to be put before a model. */
export interface ContextQuestion extends RetrieveRequest {
  /** Most tokens of the text. */
  readonly budgetTokens: number;
  /** The last entries of the session, whatever the question; they share a fifth of the budget. Default 0. */
  readonly retrieveLastN?: number;
  /** Entries weaker than this are left out. Default 0. */
  readonly leastStrength?: number;
}

/** What to show, what it costs, and which entries it shows, in the order of the text. */
export interface AssembledContext {
  readonly text: string;
  readonly tokens: number;
  readonly shown: readonly Remembered[];
  readonly degraded: string;
}

export interface ReviewRequest {
  readonly id: MemoryId;
  readonly verdict?: Verdict;
  readonly pinned?: boolean;
}

/** Which entries of a session to delete. At least one condition; all given ones must hold. */
export interface ForgetRequest {
  readonly sessionId: string;
  readonly ids?: readonly MemoryId[];
  readonly filter?: EntryFilter;
  /** Strength now, exclusive. Pinned entries are exempt from this condition. */
  readonly belowStrength?: number;
}

export interface ListRequest {
  readonly sessionId: string;
  /** Default 100. */
  readonly limit?: number;
  /** Continue after this entry. */
  readonly after?: MemoryId;
  readonly filter?: EntryFilter;
  /** Dormant ones instead of active ones. */
  readonly dormant?: boolean;
}

/** Counts of one session, or of all. */
export interface MemoryStats {
  readonly sessions: number;
  readonly active: number;
  readonly dormant: number;
  readonly contentBytes: number;
  readonly diskBytes: number;
  readonly residentSessions: number;
  readonly residentBytes: number;
  /** Entries waiting for the embedder, and changes waiting for the vector store; counted up to 10,000. */
  readonly embeddingBacklog: number;
  readonly coldBacklog: number;
  readonly embedder: string;
}
