/**
 * What is remembered: one entry, as plain data. An entry belongs to exactly one session and says where it came from, so
 * that its owner can be found and its text is never learned a second time. Strength is not in it: how well something is
 * remembered depends on the moment and is computed when somebody asks (strength.ts).
 */
import type { Instant } from "../../base/time.ts";

/** A ULID; ids of one session sort by age. */
export type MemoryId = string;

/** Text, or bytes with their media type. Only text is searched by its words; bytes are found by vector and metadata. */
export type MemoryContent =
  | { readonly text: string }
  | { readonly mediaType: string; readonly bytes: Uint8Array };

/** Where an entry came from; every part may be empty. */
export interface Provenance {
  readonly runId: string;
  readonly taskId: string;
  readonly agent: string;
  /** Entries its author had been shown; what they say is not news. */
  readonly parents: readonly MemoryId[];
}

/** The variables FSRS-6 keeps about one memory. */
export interface ReviewState {
  /** Days until the chance to recall has fallen to 90 %. */
  readonly stability: number;
  /** From 1 (easy) to 10. */
  readonly difficulty: number;
  readonly lastReviewAt: Instant;
  readonly reviews: number;
  /** Reviews that ended in `again`. */
  readonly lapses: number;
}

/** One thing remembered. */
export interface MemoryEntry {
  readonly id: MemoryId;
  /** Namespace and session, see {@link memorySession}. */
  readonly sessionId: string;
  /** Entries of one task are neighbours; empty for an entry that stands alone. */
  readonly taskId: string;
  /** A free word: `note`, `result`, `preference`. */
  readonly kind: string;
  readonly content: MemoryContent;
  readonly metadata: Readonly<Record<string, string>>;
  /** When it happened, which for imported notes is before it was stored. */
  readonly createdAt: Instant;
  readonly review: ReviewState;
  /** Never forgotten for weakness or want of room. */
  readonly pinned: boolean;
  /** Strength below which this entry falls dormant, where its author chose one. */
  readonly forgetThreshold: number | undefined;
  /** Deleted then, pinned or not. */
  readonly expiresAt: Instant | undefined;
  /** Out of the hot index since then, still readable and reachable by a deep query. */
  readonly dormantAt: Instant | undefined;
  /** Entries this one replaced. */
  readonly supersedes: readonly MemoryId[];
  /** The entry that replaced this one; it then leaves the default scope. */
  readonly supersededBy: MemoryId | undefined;
  readonly provenance: Provenance;
  /** Later entries that said nearly the same and were not stored, newest last. */
  readonly echoes: readonly Provenance[];
}

/** An entry nobody in particular wrote. */
export const NO_PROVENANCE: Provenance = { runId: "", taskId: "", agent: "", parents: [] };

/**
 * A session of a namespace as memory names it: `namespace/session`. A namespace contains no slash, so no two pairs share
 * a name, whatever the session is called.
 */
export function memorySession(namespace: string, session: string): string {
  return `${namespace}/${session}`;
}

/** The reverse of {@link memorySession}. */
export function namespaceAndSession(
  sessionId: string,
): readonly [namespace: string, session: string] {
  const slash = sessionId.indexOf("/");
  return [sessionId.slice(0, slash), sessionId.slice(slash + 1)];
}

/** What of an entry is searched by words. */
export function searchText({ content, metadata }: Pick<MemoryEntry, "content" | "metadata">) {
  return "text" in content ? content.text : Object.values(metadata).join("\n");
}

/** Whether an entry is found without asking for a deep search. */
export function inDefaultScope(entry: MemoryEntry): boolean {
  return entry.dormantAt === undefined && entry.supersededBy === undefined;
}
