/**
 * What a session's index is given, asked and answers, as plain data. Everything a ranking may depend on is in these
 * types: the texts of one session, the query, and the strengths the caller looks up. There is no clock here, so equal
 * indexes answer equal queries in the same order on every machine.
 */
import type { Instant } from "../../base/time.ts";

/** One entry as the index needs it. `id` is a ULID or any other unique text that sorts by age. */
export interface IndexedDocument {
  readonly id: string;
  /** What is searched, the speaker's name included where there is one. */
  readonly text: string;
  /** Entries of one task are neighbours in the order of (at, id); the empty task has no neighbours. */
  readonly taskId: string;
  readonly at: Instant;
  readonly kind: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** Out of the default scope (dormant, superseded): found only by a deep query. */
  readonly hidden?: boolean;
  /** Unit length, of the embedder in use; absent while the outbox has not reached it, and for the built-in embedder. */
  readonly vector?: Float32Array;
}

/** All given conditions must hold; each is checked before any cut. */
export interface EntryFilter {
  /** Equal values under every named key. */
  readonly metadata?: Readonly<Record<string, string>>;
  readonly kinds?: readonly string[];
  readonly taskIds?: readonly string[];
  /** Inclusive. */
  readonly from?: Instant;
  /** Exclusive. */
  readonly to?: Instant;
}

/** `semantic` knows meaning, `lexical` is a lossy copy of the words; `none` leaves BM25 alone. */
export type EmbedderKind = "semantic" | "lexical" | "none";

export type FusionMethod = "rrf" | "relative";

/** Shares of the two sides; only their ratio matters. */
export interface FusionWeights {
  readonly vector: number;
  readonly text: number;
}

export interface SearchQuery {
  readonly text: string;
  /** Unit length, of the embedder that made the documents' vectors. The built-in embedder needs none. */
  readonly vector?: Float32Array;
  /** Answers of a vector index outside the session's own, best first; used in place of a scan. */
  readonly vectorHits?: readonly { readonly id: string; readonly score: number }[];
  readonly limit: number;
  readonly filter?: EntryFilter;
  readonly embedderKind: EmbedderKind;
  /** Default: `relative` for a lexical embedder, `rrf` otherwise. */
  readonly fusion?: FusionMethod;
  /** Default: by the embedder's kind. Explicit weights always win. */
  readonly weights?: FusionWeights;
  /** Strength now in [0, 1]; asked for candidates only. */
  readonly strengthOf: (id: string) => number;
  /** How far strength moves a score: the factor is 1 − damping + damping·strength. Default 0.1. */
  readonly damping?: number;
  /** λ of maximal marginal relevance in (0, 1]; absent: no reordering for diversity. */
  readonly mmr?: number;
  /** Also entries that are hidden by default. */
  readonly deep?: boolean;
}

/** Where an entry stood on one side before fusion: rank from 1, and that side's own score. */
export interface SideRank {
  readonly rank: number;
  readonly score: number;
}

/** One result and why it is one. */
export interface SearchHit {
  readonly id: string;
  /** The final score: fused, damped. Comparable only within one answer. */
  readonly score: number;
  readonly strength: number;
  readonly text?: SideRank;
  readonly vector?: SideRank;
  /** Stems of the query found in the entry itself or its neighbours, in the order of the query. */
  readonly matchedTerms: readonly string[];
  /** Entries left out because their words are nearly the same. */
  readonly duplicates: readonly string[];
}

/** Document frequencies over more than one session; carries counts, never text of a session. */
export interface CollectionStatistics {
  /** Entries counted. */
  readonly documents: number;
  /** How many entries contain the stem. */
  frequency(stem: string): number;
}
